#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "shim.h"

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
    return rte_eth_rx_burst(port, queue, packets, count);
}

uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
    return rte_eth_tx_burst(port, queue, packets, count);
}

uint32_t shim_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **packets, uint32_t count)
{
    return rte_ring_dequeue_burst(ring, (void **)packets, count, NULL);
}

struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool)
{
    return rte_pktmbuf_alloc(pool);
}

int shim_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, uint32_t count)
{
    return rte_pktmbuf_alloc_bulk(pool, packets, count);
}

void shim_pktmbuf_free(struct rte_mbuf *packet)
{
    rte_pktmbuf_free(packet);
}

int shim_pktmbuf_linearize(struct rte_mbuf *packet)
{
    return rte_pktmbuf_linearize(packet);
}

static void free_undelivered(struct rte_mempool *pool, void *count, void *object, unsigned int index)
{
    struct rte_mbuf *packet = object;

    (void)pool;
    (void)index;
    /* Allocation says so; a driver that delivers a packet names its port. */
    if (packet->port == RTE_MBUF_PORT_INVALID) {
        packet->port = 0;
        rte_pktmbuf_free(packet);
        ++*(uint32_t *)count;
    }
}

uint32_t shim_pktmbuf_reclaim(struct rte_mempool *pool)
{
    void **in_pool = calloc(pool->size, sizeof(*in_pool));
    uint32_t count = 0, reclaimed = 0;

    if (in_pool == NULL)
        return 0;
    /* What is in the pool is not lost, whatever its fields still say. */
    while (count < pool->size && rte_mempool_get(pool, &in_pool[count]) == 0)
        ((struct rte_mbuf *)in_pool[count++])->port = 0;
    rte_mempool_obj_iter(pool, free_undelivered, &reclaimed);
    if (count > 0)
        rte_mempool_put_bulk(pool, in_pool, count);
    free(in_pool);
    return reclaimed;
}

uint64_t shim_tsc(void)
{
    return rte_rdtsc();
}

int shim_errno(void)
{
    return rte_errno;
}

uint16_t shim_max_ports(void)
{
    return RTE_MAX_ETHPORTS;
}

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
    void (*sink)(uint32_t, const char *, size_t) = cookie;

    sink((uint32_t)rte_log_cur_msg_loglevel(), text, length);
    return (ssize_t)length;
}

int shim_log_open(void (*sink)(uint32_t level, const char *text, size_t length))
{
    cookie_io_functions_t functions = { .write = log_write };
    FILE *stream = fopencookie((void *)sink, "w", functions);

    if (stream == NULL)
        return -errno;
    /* One write per line, and never a half line when EAL aborts. */
    setvbuf(stream, NULL, _IOLBF, BUFSIZ);
    return rte_openlog_stream(stream);
}

int shim_port_info(uint16_t port, struct shim_port_info *info)
{
    struct rte_eth_dev_info device;
    int result = rte_eth_dev_info_get(port, &device);

    if (result != 0)
        return result;
    memset(info, 0, sizeof(*info));
    info->driver = device.driver_name;
    info->rx_offloads = device.rx_offload_capa;
    info->tx_offloads = device.tx_offload_capa;
    info->rss_offloads = device.flow_type_rss_offloads;
    info->if_index = device.if_index;
    info->max_rx_packet = device.max_rx_pktlen;
    info->min_mtu = device.min_mtu;
    info->max_mtu = device.max_mtu;
    info->max_rx_queues = device.max_rx_queues;
    info->max_tx_queues = device.max_tx_queues;
    info->rx_descriptors_min = device.rx_desc_lim.nb_min;
    info->rx_descriptors_max = device.rx_desc_lim.nb_max;
    info->rx_descriptors_align = device.rx_desc_lim.nb_align;
    info->tx_descriptors_min = device.tx_desc_lim.nb_min;
    info->tx_descriptors_max = device.tx_desc_lim.nb_max;
    info->tx_descriptors_align = device.tx_desc_lim.nb_align;
    info->socket = rte_eth_dev_socket_id(port);
    return 0;
}

int shim_port_configure(uint16_t port, const struct shim_port_config *config)
{
    struct rte_eth_conf settings = {
        .rxmode.mq_mode = config->rss != 0 ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE,
        .rxmode.offloads = config->rx_offloads,
        .rxmode.mtu = config->mtu,
        .txmode.mq_mode = RTE_ETH_MQ_TX_NONE,
        .txmode.offloads = config->tx_offloads,
        .rx_adv_conf.rss_conf.rss_hf = config->rss,
    };
    struct rte_eth_dev_info device;
    uint16_t rx_descriptors = config->rx_descriptors, tx_descriptors = config->tx_descriptors;
    unsigned int socket = (unsigned int)rte_eth_dev_socket_id(port);
    int result = rte_eth_dev_info_get(port, &device);

    if (result == 0 && config->link_interrupts && device.dev_flags != NULL)
        settings.intr_conf.lsc = (*device.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    if (result == 0)
        result = rte_eth_dev_configure(port, config->queues, config->queues, &settings);
    if (result == 0)
        result = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx_descriptors, &tx_descriptors);
    for (uint16_t queue = 0; result == 0 && queue < config->queues; queue++) {
        struct rte_eth_rxconf rx = device.default_rxconf;
        struct rte_eth_txconf tx = device.default_txconf;

        rx.offloads = config->rx_offloads;
        tx.offloads = config->tx_offloads;
        result = rte_eth_rx_queue_setup(port, queue, rx_descriptors, socket, &rx, config->pool);
        if (result == 0)
            result = rte_eth_tx_queue_setup(port, queue, tx_descriptors, socket, &tx);
    }
    return result;
}

int shim_port_without_link_interrupts(uint16_t port, uint16_t queues)
{
    struct rte_eth_conf settings;
    int result = rte_eth_dev_conf_get(port, &settings);

    if (result != 0 || settings.intr_conf.lsc == 0)
        return result;
    settings.intr_conf.lsc = 0;
    return rte_eth_dev_configure(port, queues, queues, &settings);
}

int shim_port_stats(uint16_t port, struct shim_port_stats *stats)
{
    struct rte_eth_stats device;
    int result = rte_eth_stats_get(port, &device);

    if (result != 0)
        return result;
    stats->rx_packets = device.ipackets;
    stats->rx_bytes = device.ibytes;
    stats->rx_missed = device.imissed;
    stats->rx_errors = device.ierrors;
    stats->rx_no_buffer = device.rx_nombuf;
    stats->tx_packets = device.opackets;
    stats->tx_bytes = device.obytes;
    stats->tx_errors = device.oerrors;
    return 0;
}

int shim_port_link(uint16_t port, struct shim_link *link)
{
    struct rte_eth_link device;
    int result;

    memset(&device, 0, sizeof(device));
    result = rte_eth_link_get_nowait(port, &device);
    if (result != 0)
        return result;
    link->mbps = device.link_speed;
    link->up = device.link_status == RTE_ETH_LINK_UP;
    link->full_duplex = device.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    return 0;
}

int shim_port_mac(uint16_t port, uint8_t mac[6])
{
    struct rte_ether_addr address;
    int result = rte_eth_macaddr_get(port, &address);

    if (result == 0)
        memcpy(mac, address.addr_bytes, sizeof(address.addr_bytes));
    return result;
}

int shim_port_set_mac(uint16_t port, const uint8_t mac[6])
{
    struct rte_ether_addr address;

    memcpy(address.addr_bytes, mac, sizeof(address.addr_bytes));
    return rte_eth_dev_default_mac_addr_set(port, &address);
}
