//! Criterion parts and the pipeline in ticks and instructions per packet.
