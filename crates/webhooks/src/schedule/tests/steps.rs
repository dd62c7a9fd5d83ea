//! What can happen to the schedule and the disk beside it, at random.

use proptest::prelude::*;

use super::*;

pub(super) const ENDPOINTS: i64 = 4;

/// One thing that happens. Numbers choose among what there is at that moment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Events are written, and told at once or later.
    Offer { endpoint: i64, count: usize, told: bool },
    /// Turns are handed out; reads see the disk as they begin, or later.
    Send { turns: usize, reads_see: bool },
    /// A request ends.
    Finish { which: usize, how: How },
    /// Outcomes are written, and told at once or later.
    Record { told: bool },
    /// What was written and not told is told.
    Tell,
    /// A read sees the disk.
    See { which: usize },
    /// A read is over.
    Serve { which: usize, fails: bool },
    /// Time passes.
    Pass { millis: i64 },
    /// A delivery that has ended is queued anew, or one that is queued for later is due now.
    Requeue { which: usize, told: bool },
    /// An endpoint is changed.
    Change { endpoint: i64 },
    /// An endpoint is stopped; if it is, its queue is ended; if that is done, it is opened again.
    Switch { endpoint: i64 },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Taken,
    Dead,
    Refused { again: i64 },
    Hung { again: i64 },
    Paused { millis: i64 },
}

fn how() -> impl Strategy<Value = How> {
    let again = prop_oneof![Just(0_i64), 1_i64..3_000, 5_000_i64..100_000];
    prop_oneof![
        5 => Just(How::Taken),
        1 => Just(How::Dead),
        2 => again.clone().prop_map(|again| How::Refused { again }),
        1 => again.prop_map(|again| How::Hung { again }),
        1 => (1_i64..5_000).prop_map(|millis| How::Paused { millis }),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let (endpoint, which) = (1..=ENDPOINTS, any::<usize>());
    let count = prop_oneof![4 => 1_usize..6, 1 => 30_usize..120];
    prop_oneof![
        6 => (endpoint.clone(), count, any::<bool>()).prop_map(|(endpoint, count, told)| Step::Offer { endpoint, count, told }),
        8 => (1_usize..40, any::<bool>()).prop_map(|(turns, reads_see)| Step::Send { turns, reads_see }),
        12 => (which, how()).prop_map(|(which, how)| Step::Finish { which, how }),
        4 => any::<bool>().prop_map(|told| Step::Record { told }),
        3 => Just(Step::Tell),
        2 => which.prop_map(|which| Step::See { which }),
        4 => (which, prop::bool::weighted(0.1)).prop_map(|(which, fails)| Step::Serve { which, fails }),
        4 => prop_oneof![0_i64..100, 900_i64..1_200, 5_000_i64..60_000].prop_map(|millis| Step::Pass { millis }),
        2 => (which, any::<bool>()).prop_map(|(which, told)| Step::Requeue { which, told }),
        1 => endpoint.clone().prop_map(|endpoint| Step::Change { endpoint }),
        1 => endpoint.prop_map(|endpoint| Step::Switch { endpoint }),
    ]
}

pub(super) fn some_limits() -> impl Strategy<Value = SendLimits> {
    (1_usize..32, 1_usize..12, 1_usize..12, 0_usize..20_000).prop_map(
        |(in_flight_max, per_endpoint_max, per_host_max, window_bytes_max)| SendLimits {
            in_flight_max,
            per_endpoint_max,
            per_host_max,
            window_bytes_max,
        },
    )
}
