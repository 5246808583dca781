//! Figures of the whole watch at a hundred requests a second: dips (§4.1), blindness (§2.5), control groups (§3.2).

/// A dip of 25 % is declared for 5 s. Bad share after a kill, seconds of it, runs that abort in per cent, median second
/// of the abort.
pub const DIPS: &[(f64, u32, &str)] = &[
    (0.1, 5, "0 %"),
    (0.25, 5, "0 %"),
    (0.1, 10, "7 %"),
    (0.1, 20, "100 %, 11 s"),
];

/// Missed samples in a row that abort, chance of a miss, aborts an hour.
pub const BLIND: &[(u32, f64, f64)] = &[
    (3, 0.01, 0.004),
    (3, 0.05, 0.43),
    (3, 0.1, 3.2),
    (5, 0.05, 0.001),
    (5, 0.1, 0.03),
];

/// Chance of a miss, median seconds from a step to 5 % until the detector fires.
pub const SLOWED: &[(f64, f64)] = &[(0.0, 9.0), (0.05, 9.0), (0.2, 11.0), (0.5, 18.0)];

/// Shares that one or both groups step to.
pub const TOGETHER: [f64; 3] = [0.02, 0.05, 0.2];

/// A limit that follows twice the control's window of so many seconds: runs that abort in per cent when both groups step,
/// and median seconds to the abort when only the experiment does.
pub const RELATIVE: &[(u64, &str, &str)] = &[(10, "0, 0, 0", "34, 9, 5"), (30, "3 to 59", "no figure")];

/// The same two for the gauge of "the experiment is worse".
pub const WORSE: (&str, &str) = ("at most 0.3", "16 to 19");
