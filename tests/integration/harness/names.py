"""Every name of covet's that the tests depend on and that may be renamed: options, metrics, log
words.

A test never spells one of these itself.
"""

# Options: times in seconds (decimals allowed), sizes in bytes.
HEADER_TIMEOUT = "--header-timeout"
IDLE_TIMEOUT = "--idle-timeout"
BODY_TIMEOUT = "--body-timeout"
WRITE_TIMEOUT = "--write-timeout"
LINGER_TIMEOUT = "--linger-timeout"
BODY_MAX = "--body-max"
HEADER_MAX = "--header-max"
FIELDS_MAX = "--fields-max"
TARGET_MAX = "--target-max"
CONNECTIONS_MAX = "--connections-max"
CONNECTIONS_PER_ADDRESS_MAX = "--connections-per-address-max"
BODY_RATE_MIN = "--body-rate-min"
MEMORY_MAX = "--memory-max"
LAG_MAX = "--lag-max"
RETRY_AFTER = "--retry-after"

# Metric families on /metrics; values are summed over the workers. The class label is "2xx" and so
# on.
REQUESTS = "covet_requests_total"
RESPONSES = "covet_responses_total"
CLASS_LABEL = "class"
CONNECTIONS_OPEN = "covet_connections_open"
CONNECTIONS_ACCEPTED = "covet_connections_accepted_total"
BUFFERS_IN_USE = "covet_receive_buffers_in_use"
BYTES_RECEIVED = "covet_received_bytes_total"
BYTES_SENT = "covet_sent_bytes_total"
CONNECTIONS_CLOSED = "covet_connections_closed_total"
PARSE_ERRORS = "covet_parse_errors_total"
LOG_LINES_DROPPED = "covet_log_lines_dropped_total"
ENTERS = "covet_enters_total"
RECEIVE_BUFFERS = 1024  # Of each worker.
CQ_OVERFLOWS = "covet_cq_overflows_total"
ROUTE_CACHE = ("covet_route_cache_hits_total", "covet_route_cache_misses_total")

OVERLOAD_PERCENT = "covet_overload_percent"
SHEDDING = "covet_shedding"
REQUESTS_REFUSED = "covet_requests_refused_total"

MEMORY_BYTES = "covet_memory_allocated_bytes"
MEMORY_LIVE = "covet_memory_live_bytes"
MEMORY_PEAK = "covet_memory_peak_bytes"
MEMORY_REFILLS = "covet_memory_refills_total"
MEMORY_SLABS = "covet_memory_slabs"

# The same of covet-prof serve's /metrics.
PROFILE_UP = "covet_profile_up"
PROFILE_LEVEL = "covet_profile_level"
PROFILE_REQUESTS = "covet_profile_requests_total"
PROFILE_SYSCALLS = "covet_profile_syscalls_total"
PROFILE_RING_COMPLETED = "covet_profile_ring_completed_total"
PROFILE_TCP_EVENTS = "covet_profile_tcp_events_total"
PROFILE_CPU = "covet_profile_cpu_seconds_total"

# Words in the log (regular expressions).
STARTED = r"event=start\b"
RELOADED = "event=reloaded"
HANDED_OVER = r"event=handed_over pid=(\d+)"
GENERATION_FREED = "event=generation_freed"
CRASH_LINE = r"event=crash"
MEMORY_ERROR = r"event=memory_error kind=(\w+) address=0x[0-9a-f]+ bytes=\d+ class_bytes=\d+"
# What a checking tool adds to the crash a test caused; its reports of other errors read otherwise.
CRASH_OF_SANITIZED = r"Sanitizer.*(SEGV|DEADLYSIGNAL|can not provide|nested bug)"
BACKTRACE = r"backtrace|bt=|0x[0-9a-f]+|\+0x"
FATAL_LOG = (
    r"event=(crash|memory_error)|AddressSanitizer|LeakSanitizer|runtime error|ThreadSanitizer|assertion"
)

# Threads of the server process.
WORKER_THREAD = r"^covet-w\d+$"

START_FAILED = "event=start_failed"
SERVER_DIED = r"event=server_died pid=\d+ .*restart_in_ms=(\d+)"
NOT_STARTED = "event=server_not_started"
RELOAD_FAILED = "event=reload_failed"
UPGRADE_FAILED = "event=upgrade_failed"
LOG_LOST = r"event=log_lost lines=(\d+)"
ACCESS_LOG_FAILED = r"event=access_log_failed lost_lines=(\d+)"
NO_RUN_DIRECTORY = "event=no_run_directory"
ADMIN_REFUSED = "event=admin_accept_failed"

EXIT_USAGE = 64
EXIT_ADDRESS_IN_USE = 69
EXIT_NO_RING = 71
EXIT_CONFIG = 78
