//! Where a packet goes: VRFs, FIBs, next hops, ECMP groups, labels, VNIs.
