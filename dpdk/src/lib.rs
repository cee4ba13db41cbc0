//! Safe EAL, mempool, mbuf, burst, port and queue on top of dpdk-sys.
