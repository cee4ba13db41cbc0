//! The operator's command line: agent-api only.
