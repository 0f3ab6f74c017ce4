"""Networks as files and plans: addresses, pools, ports, what the monitor is asked for. Makes nothing: links are the core's."""
