// Figures in few columns: "12345", "1.23M", "16.4us", "99.5".
#ifndef TOP_QUANTITY_H
#define TOP_QUANTITY_H

#define TOP_QUANTITY_BYTES 16u  // More than any text below, its NUL among them.

enum top_unit {
    TOP_COUNT,     // 9.9, then whole to 99999, then 123k, 1.23M: factors of 1000
    TOP_RATIO,     // the same, but with one decimal to 99.9
    TOP_BYTES,     // 1023, 1.00K, 12.3K, 1.00M: factors of 1024
    TOP_TIME,      // of nanoseconds: 870ns, 1.02us, 131us, 1.05ms, 2.10s
    TOP_BELOW,     // a time that is the upper end of a bucket: <1.02us; INFINITY: none, "long"
    TOP_PERCENT,   // 0.0 to 99.9, 100
    TOP_DURATION,  // of seconds, for people: 4.2s, 59s, 12m03s, 3h04m, 5d06h
};

// Writes `value` and ends it with NUL. NAN, which stands for "not measured", gives "-".
void top_quantity(char out[TOP_QUANTITY_BYTES], enum top_unit unit, double value);

#endif
