//! What every store must do, as tests that any store can run.
//!
//! Each claim takes two handles on one empty log, as two nodes would have them, and panics
//! where the store breaks it. [`conformance_suite!`](crate::conformance_suite) makes a test
//! of every claim.

#![expect(clippy::missing_panics_doc, reason = "a claim fails by panicking")]

pub mod ages;
pub mod appends;
pub mod claims;
pub mod finds;
pub mod identity;
pub mod lists;
pub mod participants;
pub mod registry;
pub mod sample;
pub mod starts;
pub mod writing;

/// Makes a test of every claim.
///
/// `$fresh` is an async function without arguments. What it gives has `first` and `second`,
/// two `Arc<dyn Store>` on one empty log, and an async `discard(self)`.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:path) => {
        $crate::conformance_suite! { $fresh;
            appends: an_append_is_loaded_as_it_was_written;
            appends: a_log_is_loaded_in_pages_and_in_order;
            appends: of_two_appends_of_one_version_one_wins;
            appends: of_many_concurrent_appends_of_one_version_one_wins;
            appends: a_superseded_append_does_not_touch_its_batch;
            appends: an_append_whose_row_before_is_gone_is_not_written;
            appends: two_histories_never_mix;
            appends: what_builds_on_an_append_that_was_not_written_is_not_written;
            appends: a_batch_may_hold_two_appends_of_one_saga;
            appends: a_batch_that_is_written_again_changes_nothing;
            appends: a_batch_that_was_partly_written_is_completed;
            appends: a_repeated_change_does_not_undo_a_later_one;
            appends: a_superseded_append_does_not_change_the_index;
            appends: large_and_empty_batches_are_written;
            starts: a_start_makes_its_index_row;
            starts: a_used_key_is_answered_with_its_saga;
            starts: the_loser_of_a_key_writes_no_event;
            starts: of_many_concurrent_starts_with_one_key_one_wins;
            starts: nodes_that_start_the_same_sagas_in_any_order_agree;
            starts: a_start_that_is_written_again_is_done;
            starts: a_saga_id_is_used_once;
            starts: a_key_belongs_to_its_namespace;
            starts: no_saga_is_in_limbo;
            starts: what_no_store_can_hold_is_rejected;
            starts: any_text_comes_back_as_it_was;
            claims: due_sagas_without_owner_are_claimable;
            claims: a_wake_up_that_was_set_in_the_future_is_due;
            claims: sagas_of_dead_nodes_are_claimable;
            claims: what_a_node_owns_is_asked_for_alone;
            claims: the_longest_due_comes_first;
            claims: those_that_wait_for_a_participant_come_by_rank_and_age;
            claims: the_next_wake_is_that_of_an_unowned_live_saga;
            claims: of_two_that_take_a_saga_one_owns_it;
            ages: the_oldest_open_saga_is_told;
            ages: ages_come_in_pages_by_id;
            lists: pages_have_no_gaps_and_no_repeats;
            finds: a_filter_finds_what_it_says;
            finds: a_start_that_loses_its_key_has_no_labels;
            lists: stuck_sagas_are_grouped_by_cause;
            lists: groups_are_of_the_sagas_that_are_meant;
            lists: waiting_sagas_are_grouped_by_cause;
            identity: a_log_has_one_identity;
            identity: the_mark_never_moves_back;
            identity: of_two_that_begin_an_epoch_one_does;
            identity: what_was_decided_before_a_loss_is_not_written_behind_it;
            participants: what_was_decided_is_kept_and_the_newest_holds;
            participants: of_two_acts_on_what_they_both_saw_one_is_recorded;
            participants: an_act_that_is_sent_twice_is_recorded_once;
            participants: what_no_store_can_hold_is_no_act;
            registry: a_node_beats_until_it_is_forgotten;
            registry: owners_that_are_not_known_are_listed;
            registry: a_definition_version_never_changes;
            registry: a_request_stores_one_definition;
            registry: the_newest_definition_is_found;
            registry: what_any_version_retires_stays_retired;
            writing: concurrent_appends_share_transactions;
            writing: a_rejected_append_does_not_touch_its_batch;
            writing: an_append_whose_caller_has_gone_is_written;
        }
    };
    ($fresh:path; $($module:ident: $claim:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let fresh = $fresh().await;
                let (first, second) = (fresh.first.clone(), fresh.second.clone());
                $crate::conformance::$module::$claim(first, second).await;
                fresh.discard().await;
            }
        )+
    };
}
