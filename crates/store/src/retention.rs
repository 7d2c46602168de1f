//! What is kept no longer.

/// How many calls are looked at, or messages deleted, at a time: what somebody whose phone rings may wait for.
pub(crate) const AT_A_TIME: usize = 50;

/// How much was taken away, since it is kept no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Calls of which something was taken away.
    pub calls: usize,
    /// Alerts that were deleted.
    pub alerts: usize,
    /// Dead letters that were deleted.
    pub dead_letters: usize,
}
