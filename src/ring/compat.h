// io_uring names newer than liburing 2.3, the oldest header covet builds with. Values are the
// kernel's (include/uapi/linux/io_uring.h); whether a kernel has them is found out at run time
// alone.
#ifndef CV_RING_COMPAT_H
#define CV_RING_COMPAT_H

#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)  // Linux 6.12
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)  // Linux 6.10
#endif
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)  // Linux 6.10
#endif
#ifndef IORING_MSG_RING_CQE_SKIP
#define IORING_MSG_RING_CQE_SKIP (1U << 0)
#endif
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)  // Linux 6.2
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#endif
