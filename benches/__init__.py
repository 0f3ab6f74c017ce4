"""Start-up benchmarks: whole commands, in turn with their peers, as ratios of medians (docs/performance.md)."""
