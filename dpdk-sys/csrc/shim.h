/* What Rust calls, where libdpdk itself cannot be called or should not be.
 *
 * 1. Functions that are inline in DPDK's headers: bursts and mbuf allocation. All work per burst, so
 *    that the call costs nothing per packet.
 * 2. Structures whose layout changes between releases (device info, port configuration, statistics,
 *    link): they stay on this side, Rust sees the plain ones below. `struct rte_mbuf` is therefore the
 *    only DPDK structure that Rust knows by layout, and layout.c checks it against the headers.
 * 3. Thread-local variables (rte_errno) and stdio (the log stream).
 */
#ifndef VROUTER_DPDK_SHIM_H
#define VROUTER_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

/* Packets. The burst functions return how many packets they handled, from the front. */
uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);
uint32_t shim_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **packets, uint32_t count);
struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool);
int shim_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, uint32_t count);
void shim_pktmbuf_free(struct rte_mbuf *packet);
/* Copies a chain of segments into its first one; 0, or negative and unchanged without room. */
int shim_pktmbuf_linearize(struct rte_mbuf *packet);
/* Frees the packets that a closed device has left allocated and never delivered, and returns how many.
 * The pool has no caches, and only that device allocated from it. */
uint32_t shim_pktmbuf_reclaim(struct rte_mempool *pool);
uint64_t shim_tsc(void);

/* Process. */
int shim_errno(void);
/* Sends every line that DPDK logs to `sink`: level (RTE_LOG_*), text without end mark, length. */
int shim_log_open(void (*sink)(uint32_t level, const char *text, size_t length));
/* How many ports this build of DPDK has room for. */
uint16_t shim_max_ports(void);

/* Ports. */
struct shim_port_info {
    const char *driver;        /* static text of the driver, or NULL */
    uint64_t rx_offloads;      /* RTE_ETH_RX_OFFLOAD_* */
    uint64_t tx_offloads;      /* RTE_ETH_TX_OFFLOAD_* */
    uint64_t rss_offloads;     /* RTE_ETH_RSS_* */
    uint32_t if_index;         /* kernel interface, 0 = none */
    uint32_t max_rx_packet;    /* bytes, Ethernet header included */
    uint16_t min_mtu, max_mtu;
    uint16_t max_rx_queues, max_tx_queues;
    uint16_t rx_descriptors_min, rx_descriptors_max, rx_descriptors_align;
    uint16_t tx_descriptors_min, tx_descriptors_max, tx_descriptors_align;
    int32_t socket;            /* NUMA node, negative = unknown */
};

struct shim_port_config {
    uint64_t rx_offloads;
    uint64_t tx_offloads;
    uint64_t rss;              /* RTE_ETH_RSS_*, 0 = no RSS */
    uint32_t mtu;              /* 0 = the driver's default */
    uint16_t queues;           /* receive and transmit queue pairs */
    uint16_t rx_descriptors;   /* per queue */
    uint16_t tx_descriptors;
    uint8_t link_interrupts;   /* let the driver follow the link by interrupts, if it can */
    struct rte_mempool *pool;  /* where received packets are put */
};

struct shim_port_stats {
    uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer;
    uint64_t tx_packets, tx_bytes, tx_errors;
};

struct shim_link {
    uint32_t mbps;             /* UINT32_MAX = unknown */
    uint8_t up, full_duplex;
};

/* All return 0, or a negative errno. */
int shim_port_info(uint16_t port, struct shim_port_info *info);
int shim_port_configure(uint16_t port, const struct shim_port_config *config);
/* For a stopped port that is about to be closed: withdraws link_interrupts. */
int shim_port_without_link_interrupts(uint16_t port, uint16_t queues);
int shim_port_stats(uint16_t port, struct shim_port_stats *stats);
int shim_port_link(uint16_t port, struct shim_link *link);
int shim_port_mac(uint16_t port, uint8_t mac[6]);
int shim_port_set_mac(uint16_t port, const uint8_t mac[6]);

#endif
