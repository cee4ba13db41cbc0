//! The process: ports, workers, pipeline, control thread, agent server.
