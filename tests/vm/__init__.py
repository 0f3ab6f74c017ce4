"""A virtual machine for what the host cannot show: control groups v2 only, a real systemd, another processor."""
