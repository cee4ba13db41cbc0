//! The protobuf contract of the agent API and its generated client and server code.
