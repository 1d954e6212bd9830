//! Scenario files, the runner, checks against the source, figures.
