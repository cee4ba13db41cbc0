//! What a conversation may do: flow table, TCP state, security groups, NAT bindings, ageing.
