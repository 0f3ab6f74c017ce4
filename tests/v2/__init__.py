"""Tests that run on a pure cgroup-v2 host: a virtual machine of Debian's cloud kernel."""
