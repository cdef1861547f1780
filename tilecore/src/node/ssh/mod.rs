//! Nodes behind SSH, over `ssh2`: one session per link, never shared between threads.
