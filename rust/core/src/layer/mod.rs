//! Layers: extract, diff, digest, codecs, whiteouts.
