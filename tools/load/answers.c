// A head is read by a state machine of one byte at a time that keeps no bytes but one word, so it
// does not matter how the network cuts answers, and a connection needs no memory for halves of
// them. The fast path in front of it never guesses (answers.h says why); it takes over whenever an
// answer begins in the bytes at hand and its head ends there, which is nearly always.
//
// Strict on purpose: what is no answer by RFC 9112 is counted as an error of the server. Two
// framings at once, two lengths, codings that were not asked for, line folding and bare LF are all
// refused, though a browser would put up with some of them.
#include "load/answers.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/span.h"
#include "http/scan.h"
#include "load/requests.h"

enum state {
    START,        // Between answers.
    STATUS_LINE,  // Up to the status code; `word_bytes` counts.
    STATUS_END,   // Behind the status code.
    TEXT,         // The reason, or a value that means nothing here.
    LINE_LF,
    LINE_BEGIN,
    NAME,  // One that may mean something: it begins like one that does.
    OTHER_NAME,
    LENGTH,  // The value of Content-Length.
    LIST,    // That of Connection or Transfer-Encoding.
    LAST_LF,
    HEAD_END,
    BODY,
    CHUNKED,
    UNTIL_CLOSE,
    CLOSED,  // Behind an answer that was the last one.
    BROKEN,
};

enum {
    HAS_LENGTH = 1 << 0,
    IS_CHUNKED = 1 << 1,
    SAYS_CLOSE = 1 << 2,
    SAYS_KEEP = 1 << 3,
    IS_OLD = 1 << 4,        // HTTP/1.0, where a connection ends unless it is said to stay.
    LENGTH_ENDED = 1 << 5,  // Blanks behind the digits.
    IS_SLOW = 1 << 6,       // The head took the slow path.
};

enum field { OTHER, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING };

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

// "HTTP/1.x ddd" (RFC 9112 section 4).
static enum state read_status_line(struct load_reader *reader, char byte) {
    static const char begin[] = "HTTP/1.";
    unsigned at = reader->word_bytes++;
    if (at < sizeof(begin) - 1) {
        return byte == begin[at] ? STATUS_LINE : BROKEN;
    }
    if (at == 8) {
        return byte == ' ' ? STATUS_LINE : BROKEN;
    }
    if (!is_digit(byte)) {
        return BROKEN;
    }
    if (at == 7) {
        reader->flags |= byte == '0' ? IS_OLD : 0;
        return STATUS_LINE;
    }
    reader->status = (uint16_t)(reader->status * 10 + (byte - '0'));
    if (at < 11) {
        return STATUS_LINE;
    }
    return reader->status >= 100 && reader->status <= 599 ? STATUS_END : BROKEN;
}

static enum state read_text(char byte) {
    if (byte == '\r') {
        return LINE_LF;
    }
    return cv_scan_is(byte, CV_SCAN_CONTROL) ? BROKEN : TEXT;
}

// The reason may be empty, and the blank before it missing: many leave out both.
static enum state read_status_end(char byte) {
    return byte == ' ' ? TEXT : byte == '\r' ? LINE_LF : BROKEN;
}

// Words longer than any that means something stay as long as there is room.
static void add_to_word(struct load_reader *reader, char byte) {
    if (reader->word_bytes < sizeof(reader->word)) {
        bool is_upper = byte >= 'A' && byte <= 'Z';
        reader->word[reader->word_bytes++] = (char)(is_upper ? byte | 0x20 : byte);
    }
}

static bool is_word(const struct load_reader *reader, const char *lower) {
    return cv_span_equal(cv_span_make(reader->word, reader->word_bytes), cv_span_of(lower));
}

static enum state end_name(struct load_reader *reader) {
    enum state value = TEXT;
    if (is_word(reader, "content-length")) {
        value = reader->flags & HAS_LENGTH ? BROKEN : LENGTH;
    } else if (is_word(reader, "connection")) {
        reader->field = CONNECTION;
        value = LIST;
    } else if (is_word(reader, "transfer-encoding")) {
        reader->field = TRANSFER_ENCODING;
        value = LIST;
    }
    reader->word_bytes = 0;
    return value;
}

static enum state read_name(struct load_reader *reader, char byte) {
    if (byte == ':') {
        return end_name(reader);
    }
    add_to_word(reader, byte);
    return cv_scan_is(byte, CV_SCAN_TOKEN) ? NAME : BROKEN;
}

static enum state read_other_name(char byte) {
    if (byte == ':') {
        return TEXT;
    }
    return cv_scan_is(byte, CV_SCAN_TOKEN) ? OTHER_NAME : BROKEN;
}

static enum state read_line_begin(struct load_reader *reader, char byte) {
    if (byte == '\r') {
        return LAST_LF;
    }
    if (byte == ':') {
        return BROKEN;
    }
    reader->word_bytes = 0;
    char lower = (char)(byte | 0x20);
    return lower == 'c' || lower == 't' ? read_name(reader, byte) : read_other_name(byte);
}

// Digits with blanks around, below 2^63.
static enum state read_length(struct load_reader *reader, char byte) {
    bool has_digits = reader->word_bytes > 0;
    if (is_digit(byte) && !(reader->flags & LENGTH_ENDED)) {
        unsigned digit = (unsigned)(byte - '0');
        if (reader->body_left > ((uint64_t)INT64_MAX - digit) / 10) {
            return BROKEN;
        }
        reader->word_bytes = 1;
        reader->body_left = reader->body_left * 10 + digit;
        return LENGTH;
    }
    if (is_blank(byte)) {
        reader->flags |= has_digits ? LENGTH_ENDED : 0;
        return LENGTH;
    }
    reader->flags |= HAS_LENGTH;
    return byte == '\r' && has_digits ? LINE_LF : BROKEN;
}

// No coding but chunked was asked for, so there is no other (RFC 9110 section 10.1.4), and it is
// applied once (RFC 9112 section 7).
static bool end_member(struct load_reader *reader) {
    bool is_fine = true;
    if (reader->word_bytes > 0 && reader->field == TRANSFER_ENCODING) {
        is_fine = is_word(reader, "chunked") && !(reader->flags & IS_CHUNKED);
        reader->flags |= IS_CHUNKED;
    } else if (is_word(reader, "close")) {
        reader->flags |= SAYS_CLOSE;
    } else if (is_word(reader, "keep-alive")) {
        reader->flags |= SAYS_KEEP;
    }
    reader->word_bytes = 0;
    return is_fine;
}

static enum state read_list(struct load_reader *reader, char byte) {
    if (byte == ',' || is_blank(byte)) {
        return end_member(reader) ? LIST : BROKEN;
    }
    if (byte == '\r') {
        return end_member(reader) ? LINE_LF : BROKEN;
    }
    add_to_word(reader, byte);
    return cv_scan_is(byte, CV_SCAN_CONTROL) ? BROKEN : LIST;
}

static enum state read_byte(struct load_reader *reader, char byte) {
    switch ((enum state)reader->state) {
    case STATUS_LINE:
        return read_status_line(reader, byte);
    case STATUS_END:
        return read_status_end(byte);
    case TEXT:
        return read_text(byte);
    case LINE_LF:
        return byte == '\n' ? LINE_BEGIN : BROKEN;
    case LINE_BEGIN:
        return read_line_begin(reader, byte);
    case NAME:
        return read_name(reader, byte);
    case OTHER_NAME:
        return read_other_name(byte);
    case LENGTH:
        return read_length(reader, byte);
    case LIST:
        return read_list(reader, byte);
    default:
        return byte == '\n' ? HEAD_END : BROKEN;
    }
}

// Is any of these eight bytes below 0x20, or 0x7f?
static bool has_control(uint64_t word) {
    uint64_t below = (word - CV_BYTES_EACH(0x20)) & ~word;
    uint64_t del = word ^ CV_BYTES_EACH(0x7f);
    return ((below | ((del - CV_BYTES_EACH(1)) & ~del)) & CV_BYTES_EACH(0x80)) != 0;
}

// Texts are most of a head.
static size_t skip_text(const char *data, size_t bytes) {
    size_t at = 0;
    for (uint64_t word; bytes - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, data + at, sizeof(word));
        if (has_control(word)) {
            break;
        }
    }
    while (at < bytes && !cv_scan_is(data[at], CV_SCAN_CONTROL)) {
        at++;
    }
    return at;
}

static size_t skip_name(const char *data, size_t bytes) {
    size_t at = 0;
    while (at < bytes && cv_scan_is(data[at], CV_SCAN_TOKEN)) {
        at++;
    }
    return at;
}

static size_t read_head(struct load_reader *reader, const char *data, size_t bytes) {
    size_t at = 0;
    while (at < bytes && reader->state < HEAD_END) {
        reader->state = (uint8_t)read_byte(reader, data[at++]);
        if (reader->state == TEXT) {
            at += skip_text(data + at, bytes - at);
        } else if (reader->state == OTHER_NAME) {
            at += skip_name(data + at, bytes - at);
        }
    }
    reader->head_bytes += (uint32_t)CV_MIN(at, LOAD_HEAD_BYTES_MAX + 1);
    if (reader->head_bytes > LOAD_HEAD_BYTES_MAX) {
        reader->state = BROKEN;
    }
    return at;
}

static void begin_head(struct load_reader *reader) {
    reader->state = STATUS_LINE;
    reader->flags = IS_SLOW;
    reader->status = 0;
    reader->word_bytes = 0;
    reader->head_bytes = 0;
    reader->body_left = 0;
}

static uint32_t next_index(const struct load_requests *requests, uint32_t index) {
    return index + 1 < requests->count ? index + 1 : 0;
}

static enum load_kind count_status(struct load_tally *tally, uint16_t status) {
    tally->status[status / 100]++;
    tally->shed += status == 503;
    return status / 100 == 2 ? LOAD_KIND_SERVED : status == 503 ? LOAD_KIND_SHED : LOAD_KIND_OTHER;
}

// The answer is there to its last byte. Behind load_reader_end no request index is needed.
static enum load_kind complete(struct load_reader *reader, struct load_tally *tally) {
    tally->answers++;
    if (reader->flags & IS_SLOW) {
        tally->verified++;
        reader->until_verify = LOAD_VERIFY_EVERY - 1;
    }
    reader->closing = (reader->flags & SAYS_CLOSE) != 0;
    reader->state = reader->closing ? CLOSED : START;
    return count_status(tally, reader->status);
}

// The state behind a head: how its body ends (RFC 9112 section 6.3), or that there is none.
static enum state judge_head(struct load_reader *reader, bool head_only, struct load_tally *tally) {
    uint8_t flags = reader->flags;
    if ((flags & IS_CHUNKED) && (flags & (HAS_LENGTH | IS_OLD))) {
        return BROKEN;
    }
    if (reader->status < 200) {
        tally->status[1]++;
        return reader->status == 101 ? BROKEN : START;
    }
    if ((flags & IS_OLD) && !(flags & SAYS_KEEP)) {
        reader->flags |= SAYS_CLOSE;
    }
    if (head_only || reader->status == 204 || reader->status == 304) {
        reader->body_left = 0;
        return BODY;
    }
    if (flags & IS_CHUNKED) {
        cv_chunked_init(&reader->chunked);
        return CHUNKED;
    }
    if (flags & HAS_LENGTH) {
        return BODY;
    }
    reader->flags |= SAYS_CLOSE;
    return UNTIL_CLOSE;
}

// Keeps the answer that begins at `data` for the next ones. `bytes` of it must be found again.
static void learn(struct load_shape *shape, const struct load_reader *reader, const char *data,
                  size_t bytes) {
    if (bytes > LOAD_SHAPE_BYTES || (reader->flags & SAYS_CLOSE)) {
        return;
    }
    bool is_chunked = reader->state == CHUNKED;
    shape->rest_bytes = is_chunked ? 0 : reader->body_left;
    shape->body_bytes = is_chunked ? reader->chunked.data_bytes : reader->body_left;
    shape->same_bytes = (uint16_t)bytes;
    shape->status = reader->status;
    memcpy(shape->bytes, data, bytes);
}

// One call of load_reader_feed.
struct feed {
    struct load_reader *reader;
    const struct load_requests *requests;
    struct load_shape *shapes;
    struct load_tally *tally;
    uint8_t *kinds;  // Of the next answer that is completed.
    const char *data;
    size_t bytes;
    size_t at;
    const char *begin;  // Of the answer that is being read, if it took the slow path and is here.
    unsigned left;      // Answers that may still come.
};

static bool is_known(const struct load_shape *shape, const char *data, size_t bytes) {
    return shape->same_bytes != 0 && bytes >= shape->same_bytes &&
           memcmp(data, shape->bytes, shape->same_bytes) == 0;
}

// The head of a known answer is here, the end of its body is not.
static void begin_known_body(struct load_reader *reader, const struct load_shape *shape) {
    reader->flags = 0;
    reader->status = shape->status;
    reader->body_left = shape->rest_bytes;
    reader->state = BODY;
}

// Takes answers as long as they are known ones and none is to be verified.
static void take_known(struct feed *feed) {
    struct load_reader *reader = feed->reader;
    struct load_tally *tally = feed->tally;
    const char *at = feed->data + feed->at;
    const char *end = feed->data + feed->bytes;
    uint32_t index = reader->request_index;
    unsigned taken = 0;
    unsigned taken_max = CV_MIN(feed->left, reader->until_verify);
    while (taken < taken_max) {
        const struct load_shape *shape = &feed->shapes[index];
        if (!is_known(shape, at, (size_t)(end - at))) {
            break;
        }
        at += shape->same_bytes;
        if ((size_t)(end - at) < shape->rest_bytes) {
            begin_known_body(reader, shape);
            reader->until_verify--;
            break;
        }
        at += shape->rest_bytes;
        taken++;
        *feed->kinds++ = (uint8_t)count_status(tally, shape->status);
        tally->body_bytes += shape->body_bytes;
        index = next_index(feed->requests, index);
    }
    reader->request_index = index;
    reader->until_verify = (uint8_t)(reader->until_verify - taken);
    tally->answers += taken;
    feed->left -= taken;
    feed->at = (size_t)(at - feed->data);
}

static void finish_answer(struct feed *feed) {
    *feed->kinds++ = (uint8_t)complete(feed->reader, feed->tally);
    feed->reader->request_index = next_index(feed->requests, feed->reader->request_index);
    feed->left--;
}

// Keeps the answer read so far, if it is all here.
static void learn_from(struct feed *feed) {
    if (feed->begin != NULL) {
        learn(&feed->shapes[feed->reader->request_index], feed->reader, feed->begin,
              (size_t)(feed->data + feed->at - feed->begin));
    }
}

static void take_head(struct feed *feed) {
    struct load_reader *reader = feed->reader;
    feed->at += read_head(reader, feed->data + feed->at, feed->bytes - feed->at);
    if (reader->state != HEAD_END) {
        return;
    }
    bool head_only = feed->requests->head_only[reader->request_index];
    reader->state = (uint8_t)judge_head(reader, head_only, feed->tally);
    if (reader->state == BODY) {
        learn_from(feed);
        if (reader->body_left == 0) {
            finish_answer(feed);
        }
    }
}

static void take_body(struct feed *feed) {
    struct load_reader *reader = feed->reader;
    uint64_t bytes = CV_MIN(feed->bytes - feed->at, reader->body_left);
    reader->body_left -= bytes;
    feed->tally->body_bytes += bytes;
    feed->at += bytes;
    if (reader->body_left == 0) {
        finish_answer(feed);
    }
}

static void take_chunks(struct feed *feed) {
    struct load_reader *reader = feed->reader;
    struct cv_span input = cv_span_make(feed->data + feed->at, feed->bytes - feed->at);
    struct cv_span data;
    size_t used;
    enum cv_chunked_result result = cv_chunked_feed(&reader->chunked, input, &used, &data);
    feed->at += used;
    feed->tally->body_bytes += data.length;
    if (result == CV_CHUNKED_REFUSED) {
        reader->state = BROKEN;
    } else if (result == CV_CHUNKED_DONE) {
        learn_from(feed);
        finish_answer(feed);
    }
}

static void take_start(struct feed *feed) {
    take_known(feed);
    if (feed->reader->state != START || feed->at == feed->bytes) {
        return;
    }
    if (feed->left == 0) {
        feed->reader->state = BROKEN;
        return;
    }
    begin_head(feed->reader);
    feed->begin = feed->data + feed->at;
}

int load_reader_feed(struct load_reader *reader, const struct load_requests *requests,
                     struct load_shape *shapes, const char *data, size_t bytes,
                     unsigned answers_max, struct load_tally *tally, uint8_t *kinds) {
    struct feed feed = {reader, requests, shapes, tally, kinds, data, bytes, 0, NULL, answers_max};
    while (feed.at < bytes && reader->state < CLOSED) {
        switch ((enum state)reader->state) {
        case START:
            take_start(&feed);
            break;
        case BODY:
            take_body(&feed);
            break;
        case CHUNKED:
            take_chunks(&feed);
            break;
        case UNTIL_CLOSE:
            tally->body_bytes += bytes - feed.at;
            feed.at = bytes;
            break;
        default:
            take_head(&feed);
            break;
        }
    }
    return reader->state == BROKEN ? -EBADMSG : (int)(answers_max - feed.left);
}

int load_reader_end(struct load_reader *reader, struct load_tally *tally, uint8_t *kind) {
    if (reader->state == START || reader->state == CLOSED) {
        return 0;
    }
    if (reader->state != UNTIL_CLOSE) {
        return -EPIPE;
    }
    *kind = (uint8_t)complete(reader, tally);
    return 1;
}
