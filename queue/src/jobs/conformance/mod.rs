//! What every [`Storage`](super::Storage) must do, as tests that run on any of them: written once, so that queues
//! behave the same whatever keeps their jobs. Behind the feature `conformance`, also for storages of others.
//!
//! A test file calls [`conformance!`](crate::conformance) with the name of an async function that gives a
//! [`Subject`]: a storage with nothing in it, for each case a new one.
//!
//! ```
//! mod memory {
//!     use std::sync::Arc;
//!
//!     use lockstep_queue::jobs::{MemoryStorage, conformance::Subject};
//!
//!     async fn fresh() -> Subject {
//!         Subject::new(Arc::new(MemoryStorage::new()))
//!     }
//!
//!     lockstep_queue::conformance!(fresh);
//! }
//! ```
//!
//! Real time passes in some cases, since servers have clocks of their own: a few tenths of a second each. Bounds on
//! what must be quick are wide, so that a busy machine passes.

pub mod cancel;
pub mod claim;
pub mod drops;
pub mod end;
pub mod enqueue;
pub mod fence;
pub mod hints;
mod kit;
pub mod lasting;
pub mod limits;
pub mod roles;
pub mod upkeep;
pub mod views;
pub mod whole;

pub use kit::{Client, Outcome, Subject, run};

/// Makes a test of each case. `$fresh` names an async function without arguments that gives a
/// [`Subject`](crate::jobs::conformance::Subject) with nothing in it.
#[macro_export]
macro_rules! conformance {
    ($fresh:ident) => {
        $crate::conformance_cases! { $fresh;
            enqueue {
                jobs_are_kept_as_given, many_at_once_are_each_for_itself, an_id_is_taken_in_every_state,
                one_of_ten_at_once_is_new, bytes_are_kept_as_they_are, nasty_ids_are_kept_apart,
                queues_are_kept_apart, what_is_too_large_changes_nothing, nothing_is_enqueued_for_nothing,
            }
            claim {
                a_claim_gives_what_was_enqueued, priority_goes_first_then_age, delayed_jobs_wait_for_their_time,
                no_job_is_claimed_twice, deliveries_are_counted_at_the_claim, one_step_finishes_and_claims,
                it_tells_when_more_is_due,
            }
            limits {
                a_paused_queue_gives_nothing, concurrency_holds_for_all_workers, a_full_queue_takes_none,
                settings_are_kept,
            }
            end {
                completed_jobs_keep_their_output, retried_jobs_come_again_later, dead_jobs_stay_until_asked_for,
                released_jobs_come_first_and_uncounted, a_wanted_end_frees_the_id, each_end_is_for_itself,
                retention_ends, retention_can_be_changed, removed_ids_are_free,
            }
            fence {
                a_token_ends_one_delivery, a_lost_lease_changes_nothing, a_late_worker_without_rival_still_counts,
                an_extended_lease_is_kept, the_next_job_of_an_id_is_another, tokens_grow,
            }
            cancel {
                jobs_that_wait_are_gone_at_once, running_jobs_are_asked_for, ended_jobs_answer,
                a_worker_can_finish_in_spite_of_it, cancelled_and_stalled_is_gone,
                cancelled_and_given_back_is_gone,
            }
            upkeep {
                stalled_jobs_come_again, the_last_delivery_ends_in_the_dead_letter, two_reapers_share,
                steps_are_bounded, expired_jobs_are_forgotten, only_its_queue_is_reaped,
            }
            views {
                pages_cover_all_in_order, pages_go_on_after_a_removed_job, due_jobs_are_seen_as_waiting,
                counts_follow_the_jobs, queues_are_listed, unknown_queues_and_jobs_are_empty, unknown_queues_are_told_apart,
            }
            hints {
                an_enqueue_wakes, a_due_job_wakes, there_is_no_wait_while_there_is_work, waits_end,
                a_resume_wakes, a_released_job_wakes, a_retry_wakes, a_stalled_job_wakes, freed_room_wakes,
                idle_queues_hold_nobody_up,
                events_tell_what_happened, events_are_of_one_queue,
            }
            roles { one_leads, a_leader_that_is_gone_is_replaced, a_leader_can_resign, one_of_ten_at_once_leads, }
            drops {
                dropped_claims_lose_no_job, dropped_enqueues_are_whole_or_nothing, dropped_waits_keep_no_news,
            }
            lasting {
                jobs_survive_a_restart, handles_share_one_truth, other_processes_wake_and_tell,
                a_closed_storage_says_so,
            }
            whole {
                outputs_come_to_those_who_wait, many_can_wait_for_one_job, a_wait_outlives_the_worker,
                failures_end_in_the_dead_letter, bad_jobs_do_not_stop_the_worker, cancelled_jobs_end,
                a_stopped_worker_hands_back, all_jobs_are_done,
            }
        }
    };
}

/// For [`conformance!`](crate::conformance) alone.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($fresh:ident; $($group:ident { $($case:ident,)+ })+) => { $(
        mod $group { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let subject = super::$fresh().await;
                $crate::jobs::conformance::run($crate::jobs::conformance::$group::$case(subject)).await;
            }
        )+ }
    )+ };
}
