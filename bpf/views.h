/* What the programs here see of the kernel: the few members they read. The loader moves each access
 * to where the running kernel has that member (CO-RE), so order and size of these structs mean
 * nothing, and no copy of the kernel's own headers is needed. For the kernel's side only.
 */
#ifndef COVET_BPF_VIEWS_H
#define COVET_BPF_VIEWS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
    unsigned int inum;
};

struct pid_namespace {
    struct ns_common ns;
};

struct upid {
    int nr;
    struct pid_namespace *ns;
};

struct pid {
    unsigned int level;
    struct upid numbers[1];
};

struct net;

struct nsproxy {
    struct net *net_ns;
};

struct task_struct {
    unsigned int __state; /* 5.14 and newer */
    unsigned int flags;
    int pid;
    int tgid;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    struct nsproxy *nsproxy;
    char comm[16];
};

struct inode {
    unsigned long i_ino;
};

struct file {
    struct inode *f_inode;
};

struct vm_area_struct {
    unsigned long vm_start;
    unsigned long vm_end;
    unsigned long vm_pgoff;
    struct file *vm_file;
};

struct io_cqe {
    uint64_t user_data;
};

struct io_kiocb {
    uint8_t opcode;
    struct io_cqe cqe; /* 5.19 and newer */
};

/* The name of the kernel's struct io_uring_cqe, whose 6.17 form is the argument of a tracepoint. */
struct io_uring_cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};

typedef struct {
    struct net *net;
} possible_net_t;

struct sock_common {
    unsigned short skc_num;
    unsigned short skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
};

struct sock {
    struct sock_common __sk_common;
    uint16_t sk_protocol;
    uint32_t sk_ack_backlog;
    uint32_t sk_max_ack_backlog;
    struct {
        int counter;
    } sk_drops;
};

struct inet_sock {
    struct sock sk;
    uint16_t inet_sport;
};

struct inet_connection_sock {
    struct inet_sock icsk_inet;
};

struct tcp_sock {
    struct inet_connection_sock inet_conn;
};

struct net_device {
    possible_net_t nd_net;
};

struct sk_buff {
    struct net_device *dev;
    uint16_t protocol;
    uint16_t transport_header;
    uint16_t network_header;
    unsigned char *head;
};

struct bpf_iter_meta {
    struct seq_file *seq;
    uint64_t seq_num;
};

struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};

struct bpf_iter__task_vma {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    struct vm_area_struct *vma;
};

struct bpf_iter__tcp {
    struct bpf_iter_meta *meta;
    struct sock_common *sk_common;
};

#pragma clang attribute pop

#endif
