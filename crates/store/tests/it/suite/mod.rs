//! The cases that every database must pass, unchanged. The SQL in here is what a CRM would write, and is valid in
//! every dialect.

use chrono::{DateTime, Utc};
use store::{DatabaseUrl, Store};

pub(crate) mod activity;
pub(crate) mod alerts;
pub(crate) mod contacts;
pub(crate) mod convergence;
pub(crate) mod dead_letters;
pub(crate) mod decisions;
pub(crate) mod erasure;
pub(crate) mod imports;
pub(crate) mod people;
pub(crate) mod reconcile;
pub(crate) mod recordings;
pub(crate) mod requests;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod search;
pub(crate) mod views;
pub(crate) mod webhook_health;

/// A migrated, empty database that only one test uses. It goes when the value is dropped.
pub(crate) trait Database: Sized {
    /// Makes one.
    async fn fresh() -> Self;

    /// The store that was opened on it.
    fn store(&self) -> &Store;

    /// Where it is.
    fn url(&self) -> &DatabaseUrl;

    /// Runs a statement as the CRM would, on a connection of its own. Returns how many rows it changed.
    async fn execute(&self, sql: &str) -> usize;

    /// The one text that a query gives, as the CRM would read it. Everything but a text must be cast to `text`.
    async fn text(&self, sql: &str) -> Option<String>;

    /// The one time that a query gives.
    async fn time(&self, sql: &str) -> Option<DateTime<Utc>>;

    /// The number that a query gives.
    async fn count(&self, sql: &str) -> usize {
        let count = self.text(&format!("select cast(({sql}) as text)")).await;
        count.unwrap().parse().unwrap()
    }

    /// Opens it once more, as another process would.
    async fn reopen(&self) -> Store {
        Store::connect(self.url()).await.unwrap()
    }
}

/// Makes a test of every case, on one kind of database.
macro_rules! run_suite_on {
    ($database:ty) => {
        run_suite_on! { $database =>
            rows {
                a_post_call_becomes_a_row_with_every_column
                a_row_is_there_after_reopening
                an_outbound_call_becomes_a_row
                an_empty_batch_changes_nothing
                the_same_batch_again_changes_nothing
                a_batch_may_hold_several_calls
                a_pre_call_alone_makes_an_alert_and_no_row
                a_call_that_was_never_heard_of_is_none
                the_history_of_a_call_is_complete
                three_thousand_rows_are_read_at_once
                two_snapshots_close_together_ask_for_a_reread
                a_time_keeps_its_microseconds
            }
            activity {
                what_waits_and_when_a_webhook_came_last_is_told
            }
            convergence {
                the_cut_and_the_order_of_events_do_not_matter
                thousands_of_events_in_disorder_give_what_the_projection_gives
                eight_writers_of_overlapping_batches_lose_nothing
            }
            alerts {
                an_alert_is_returned_once
                an_unpublished_alert_is_found_once_it_is_old_enough
                a_published_alert_is_not_found_again
                an_alert_that_interrupts_nobody_is_only_kept
                alerts_are_read_from_a_time_on_oldest_first
                an_alert_names_the_contact_as_the_crm_spells_him_now
            }
            contacts {
                a_caller_is_matched_however_his_number_is_spelt
                contacts_that_are_saved_again_are_not_counted
                a_contact_that_is_renamed_stays_one
                a_number_that_moves_belongs_to_its_new_owner
                a_number_that_is_taken_away_matches_no_more
                a_contact_links_the_calls_that_came_before_him
                a_new_contact_moves_no_link
                a_call_that_somebody_unlinked_is_not_linked_again
                numbers_that_never_match_link_nothing
                the_numbers_of_the_account_link_nothing
                all_who_have_a_number_are_candidates
                how_new_callers_were_matched_is_counted
                a_contact_that_is_removed_matches_no_more
            }
            decisions {
                notes_that_the_crm_writes_stand
                a_lead_that_the_crm_writes_stands
                a_customer_that_the_crm_takes_away_stays_away
                a_link_that_somebody_decides_stands_until_the_next_decision
                whoever_is_linked_by_hand_hears_of_the_call_whatever_his_number
                a_decision_for_nobody_keeps_new_contacts_out
                a_call_without_a_row_or_whose_link_was_erased_is_linked_with_nobody
                other_columns_that_the_crm_writes_are_ours
                a_row_that_the_crm_deletes_comes_back_with_the_next_event
                a_group_sealed_by_retention_is_blank_from_the_next_event_on
                erasure_leaves_no_name_number_or_word
                the_first_seal_of_a_group_stays
                a_call_that_was_never_heard_of_cannot_be_sealed
            }
            dead_letters {
                a_dead_letter_is_kept_once_and_listed
                a_dead_letter_that_was_dealt_with_is_not_listed
                waiting_dead_letters_are_counted_by_their_tries
                dead_letters_are_listed_newest_first
                dead_letters_are_listed_by_state_page_by_page
                a_dead_letter_is_found_by_its_id
                of_two_who_replay_a_dead_letter_one_is_told_so
            }
            erasure {
                nothing_of_an_erased_number_comes_back
                who_calls_again_after_being_erased_is_a_new_caller
                what_people_wrote_and_decided_is_erased_too
                recordings_of_an_erased_number_are_to_be_deleted
            }
            retention {
                what_is_kept_no_longer_goes_and_does_not_come_back
                alerts_are_kept_until_they_were_told
                recordings_that_are_kept_no_longer_are_to_be_deleted
                a_recording_that_was_only_begun_is_to_be_deleted_too
                a_call_that_cannot_be_read_keeps_no_other_from_going
                what_is_listed_again_is_no_news_of_what_is_kept_no_longer
            }
            imports {
                a_run_is_found_and_listed_as_it_was_made
                a_range_that_ends_before_it_starts_is_refused
                of_many_importers_each_gets_a_run_of_its_own
                a_run_whose_importer_is_gone_goes_on_where_it_was
                a_lease_is_kept_by_renewing_and_given_back_by_a_lease_of_zero
                who_has_lost_a_run_changes_nothing
                a_cancelled_run_takes_no_page
                a_run_that_is_given_up_says_why
                what_a_run_waits_for_is_told_until_its_next_page
                a_call_is_one_row_however_often_it_is_met
                a_call_is_stored_whether_its_page_is_saved_before_or_after
                a_page_that_was_published_but_not_saved_is_read_again
                a_dead_letter_fails_its_call_until_it_is_replayed
                a_run_is_complete_once_nothing_is_on_its_way
                counts_tell_who_was_matched
                calls_that_failed_and_calls_on_their_way_are_listed
                an_event_of_a_run_that_nobody_knows_is_applied
                pages_and_events_of_the_same_calls_do_not_hinder_each_other
                a_run_that_is_forgotten_leaves_its_calls
                calls_that_failed_are_read_alone_in_the_run_they_belong_to
                only_a_run_that_was_read_to_its_end_is_retried
            }
            reconcile {
                a_call_in_doubt_is_read_again_until_an_import_settles_it
                a_call_that_cannot_be_read_again_is_left_in_doubt
                a_call_that_vanished_is_hidden_until_it_is_seen_again
                of_several_who_want_a_pass_one_makes_it
                a_pass_has_its_turn_after_its_time_or_soon_after_a_failure
                passes_are_apart_from_what_people_want
                what_is_known_of_a_call_tells_whether_a_state_is_news
                calls_that_are_shown_and_that_a_pass_did_not_meet_are_found
                the_gap_is_what_no_webhook_has_told
            }
            recordings {
                recordings_are_wanted_once_of_calls_that_are_shown
                young_calls_come_first_and_then_the_oldest
                of_many_who_take_recordings_each_gets_another
                what_a_killed_holder_had_is_taken_again_after_its_time
                a_recording_that_failed_rests_and_one_that_is_gone_is_not_taken_again
                an_archived_recording_is_found_until_it_is_forgotten
            }
            requests {
                no_window_of_many_simulated_days_holds_too_many
                many_who_ask_at_once_get_no_more_than_there_is
                a_class_stops_at_its_share_and_the_next_goes_on
                repair_has_a_part_of_the_day_and_recordings_of_the_minute
                recordings_to_be_kept_leave_room_for_all_else
                what_others_used_lowers_what_is_left_for_an_hour
                a_smaller_allowance_is_obeyed
                a_report_that_is_late_changes_nothing
                a_limit_of_zero_grants_nothing_and_of_one_one
                what_is_older_than_a_day_is_forgotten
            }
            people {
                people_are_found_by_name_id_or_number
                who_is_known_is_told_by_name
            }
            search {
                calls_are_listed_latest_first_page_by_page
                a_call_is_found_by_a_number_in_any_spelling_or_a_part_of_it
                a_call_is_found_by_the_name_of_the_line_or_of_the_person
                calls_are_found_by_time_outcome_and_direction
                calls_are_found_by_whether_they_are_matched
                hidden_calls_are_not_listed_but_found_by_their_id
            }
            views {
                the_view_of_calls_hides_spam_and_what_vanished
                missed_calls_and_voicemails_are_to_be_called_back
                a_caller_who_was_talked_with_since_is_not_called_back
                a_call_before_the_missed_one_does_not_settle_it
                a_withheld_caller_cannot_be_called_back
                a_withheld_number_that_looks_like_one_cannot_be_called_back
            }
            webhook_health {
                what_the_reconciler_found_last_is_there_for_all
                the_quiet_is_measured_by_the_four_weeks_before
            }
        }
    };
    ($database:ty => $($module:ident { $($case:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::suite::$module::$case::<$database>().await;
            }
        )*)*
    };
}
