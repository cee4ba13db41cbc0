/* Everything that src/bindings.rs is generated from: see scripts/regenerate-bindings. */
#include <rte_config.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

#include "shim.h"

/* Where the members of rte_mbuf's anonymous unions are. */
#define SHIM_MBUF_PACKET_TYPE offsetof(struct rte_mbuf, packet_type)
#define SHIM_MBUF_RSS offsetof(struct rte_mbuf, hash.rss)
#define SHIM_MBUF_TX_OFFLOAD offsetof(struct rte_mbuf, tx_offload)
