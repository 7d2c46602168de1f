//! What every queue backend promises ([`cases`]), tried on each of them, and what only one of them does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "these are tests"
)]

/// Makes one test of each case for one backend. `$fresh` makes a fresh, empty [`backend::Backend`].
macro_rules! every_case {
    ($module:ident, $fresh:expr, [$($case:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::cases::$case(&$fresh).await;
                }
            )*
        }
    };
}

/// The list of cases, in one place for all backends.
macro_rules! on_backend {
    ($module:ident, $fresh:expr) => {
        every_case!(
            $module,
            $fresh,
            [
                bodies_arrive_byte_for_byte,
                a_body_that_is_too_large_is_refused,
                failures_travel_with_their_message,
                the_order_of_publishing_is_kept,
                queues_do_not_mix,
                a_batch_respects_its_maximum,
                a_large_batch_is_cut,
                acknowledging_many_removes_them,
                any_part_of_what_is_held_may_be_acknowledged,
                a_delivery_is_settled_by_its_holder_and_once,
                what_was_not_acknowledged_comes_again_after_reopening,
                what_is_given_back_comes_again_and_counts_no_attempt,
                a_dropped_consumer_gives_back,
                a_dropped_delivery_stays_held,
                retrying_walks_the_ladder_into_the_dead_letters,
                a_rest_outlasts_reopening,
                a_consumer_outlasts_its_queue,
                a_resting_message_does_not_hold_up_others,
                a_hopeless_message_is_dead_lettered_at_once,
                a_dead_letter_can_be_published_directly,
                a_dead_letter_never_dies_again,
                two_consumers_share_without_doubles,
                depths_count_what_waits,
                a_waiting_consumer_wakes_on_publish,
                a_batch_dropped_in_mid_wait_loses_nothing,
                a_batch_dropped_over_and_over_loses_nothing,
                publish_all_keeps_order_across_its_parts,
                many_publishers_are_each_confirmed,
                what_a_worker_has_done_never_comes_again,
                a_message_that_fails_does_not_hold_up_the_others,
                a_batch_that_is_not_full_keeps_the_next_one_waiting,
                an_outage_costs_no_message_and_counts_no_attempt,
                a_worker_can_be_stopped_during_an_outage,
            ]
        );
    };
}

mod backend;
mod cases;
mod embedded;
mod processes;
mod rabbitmq_backend;
mod spool;
mod throughput;

on_backend!(embedded_backend, crate::backend::Embedded::fresh());
