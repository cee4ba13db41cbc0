//! Generated FFI to the system libdpdk with a C shim for inline functions.
