/* What every probe and its readers share: who a thread is, and how a latency histogram looks.
 *
 * The headers of this folder are compiled twice, for the kernel's side and for src/profile and
 * tools/. They hold fixed-width types only, and no struct with padding: `bpftool map dump` prints
 * their fields by name through BTF, so a name here is a label of the dashboard.
 */
#ifndef COVET_BPF_SHARED_H
#define COVET_BPF_SHARED_H

#include <stdint.h>

/* Where the maps are pinned unless --pin-dir says otherwise. */
#define COVET_PIN_DIR "/sys/fs/bpf/covet"

/* Who a thread of the server is, told by its name. */
enum covet_role {
    COVET_WORKER = 0, /* covet-wN */
    COVET_MAIN = 1,   /* the server's main thread */
    COVET_IO_WQ = 2,  /* iou-wrk-TID: the kernel's own, for what would block */
    COVET_SQPOLL = 3, /* iou-sqp-TID: polls a submission queue */
    COVET_OTHER = 4,  /* any other thread of the server */
};

/* A latency histogram: each bucket counts what took less than its name says and not less than the
 * bucket before it; bounds double from 1,000 ns on, so a "ms" here is 1,024 us.
 * COVET_LATENCY_BUCKETS(X) lists X(name, upper bound in ns); the bound of the last is none. */
#define COVET_LATENCY_BUCKETS(X) \
    X(lt_1us, 1000ull) \
    X(lt_2us, 2000ull) \
    X(lt_4us, 4000ull) \
    X(lt_8us, 8000ull) \
    X(lt_16us, 16000ull) \
    X(lt_32us, 32000ull) \
    X(lt_64us, 64000ull) \
    X(lt_128us, 128000ull) \
    X(lt_256us, 256000ull) \
    X(lt_512us, 512000ull) \
    X(lt_1ms, 1024000ull) \
    X(lt_2ms, 2048000ull) \
    X(lt_4ms, 4096000ull) \
    X(lt_8ms, 8192000ull) \
    X(lt_16ms, 16384000ull) \
    X(lt_32ms, 32768000ull) \
    X(lt_65ms, 65536000ull) \
    X(lt_131ms, 131072000ull) \
    X(lt_262ms, 262144000ull) \
    X(lt_524ms, 524288000ull) \
    X(lt_1s, 1048576000ull) \
    X(longer, UINT64_MAX)

#define COVET_LATENCY_BUCKET_COUNT 22u

struct covet_latency {
#define COVET_LATENCY_FIELD(name, bound) uint64_t name;
    COVET_LATENCY_BUCKETS(COVET_LATENCY_FIELD)
#undef COVET_LATENCY_FIELD
};

#endif
