//! Golden cases: tables and in.pcap to out.pcap and every counter that moved.
