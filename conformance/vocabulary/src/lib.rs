//! The words every crate of ggauge shares: cases, schedules, settings, transcripts, outcomes, and the two subject traits.
