"""What the contract says of stops, sentence by sentence, with the tests that show each; none is without.

The wording is our own. A row names tests by file (below ``tests``) and name; all of them run in the default suite.
"""

import time

import pytest

from actors.links.places import LEASE_SECONDS
from tests.stops.sentences import rows_of, unshown
from wire.parts import LeaseExpiry
from wire.sdk.clock import BootClock

SHOWN_BY = """
# Scope and level
a scope is one of five forms | wire/test_stops::a_scope_reads_back_from_its_text wire/test_stops::a_malformed_scope_is_refused_and_never_read_as_a_narrower_one
levels rise from NORMAL to FLATTEN | wire/test_stops::levels_rise_from_normal_to_flatten
each level takes away what its name says | wire/sdk/test_gate::every_cell_of_the_table_of_levels_and_purposes wire/sdk/test_gate::a_reducing_order_may_not_take_more_than_is_held
a strategy's level in a symbol is the highest of the open stops that match | wire/test_stops::the_level_of_a_strategy_in_a_symbol_is_the_highest_of_the_open_stops_that_cover_it wire/test_stops::one_more_stop_never_lowers_any_level
the level of one strategy leaves the other alone | wire/sdk/test_gate::a_stop_of_one_strategy_leaves_the_other_alone
a stop of a strategy closes only what its own fills opened | wire/sdk/test_stopping::a_stop_of_a_strategy_closes_only_what_its_own_fills_opened actors/engine/test_orders_books::a_sale_by_one_owner_leaves_the_shares_of_the_other
# The register
copies merge in any order to the same | wire/test_stops::merging_is_commutative wire/test_stops::merging_is_associative wire/test_stops::merging_with_itself_changes_nothing
the union of stops, and never a lower epoch | wire/test_stops::a_merge_never_lowers_an_epoch_and_keeps_every_stop
the highest level of any copy | store/test_start::of_two_copies_of_a_stop_the_higher_level_and_epoch_hold store/test_register::saving_again_merges_upwards_only
the union of releases | wire/test_stops::what_is_open_anywhere_stays_open_unless_some_copy_holds_its_release
the latch of an engine is such a copy | wire/sdk/test_latch::the_latch_and_the_register_agree_about_every_stop
so is the database | store/test_register::a_stop_comes_back_as_it_was_saved store/test_register::a_copy_that_disagrees_about_the_scope_means_everything
a release names stops and the epoch that it clears | wire/test_stops::a_release_at_the_register_s_epoch_ends_exactly_the_named_stops wire/test_stops::a_release_of_an_older_epoch_leaves_a_raised_stop_open store/test_register::a_release_ends_what_was_open_at_its_epoch_and_nothing_raised_since
nothing else ends a stop | actors/platform/test_coordinator::nothing_releases_a_stop_but_two_words_of_people wire/sdk/test_gate::only_a_release_of_that_stop_opens_it_again wire/sdk/test_halting::a_frame_that_does_not_mention_a_stop_ends_it_as_little_as_an_old_or_foreign_one
a new epoch is above every copy and every hello | actors/platform/test_stopping::every_new_epoch_is_above_every_copy_and_every_word_of_an_engine actors/platform/test_stopping::every_new_epoch_is_above_everything_found_in_any_hello
no reader expects the next number | wire/sdk/test_halting::epochs_may_jump_and_come_in_any_order
an engine's hello has the stops of its latch | wire/sdk/drivers/test_conformance::the_latch_outlives_the_process_and_boots_halted wire/test_session::stops_reported_in_hello_arrive_with_the_hello
the platform answers each as open | actors/links/test_stops::an_engine_says_hello_and_is_welcome_with_its_stops_and_seen_as_connected
or as released | actors/platform/test_stopping::an_engine_that_was_away_at_the_release_is_answered_released
an id nobody knows is open again before the welcome | actors/links/test_stops::a_stop_nobody_here_knows_is_open_again_before_its_engine_is_welcome
with a valid proof in its whole scope | actors/platform/test_stopping::an_unknown_stop_with_our_proof_is_opened_again_with_its_whole_scope
without one for that engine alone | actors/platform/test_stopping::an_unknown_stop_without_our_proof_is_opened_again_for_that_engine_alone actors/platform/test_stopping::an_engine_cannot_widen_or_revive_another_scope_s_stop_under_its_id
a proof is a MAC of the platform over the record | wire/test_proof::a_proof_holds_for_its_record_and_for_no_other wire/test_proof::every_field_is_under_the_proof wire/test_proof::another_platform_or_key_proves_nothing
an engine drops a stop only for a release with its id | wire/sdk/test_latch::a_release_ends_only_what_it_names_and_only_up_to_its_epoch wire/sdk/test_halting::a_frame_that_does_not_mention_a_stop_ends_it_as_little_as_an_old_or_foreign_one
# The order of work
a stop is decided and at every link before the journal has it | actors/platform/test_coordinator::a_stop_is_answered_and_at_every_link_before_the_journal_has_it
database, audit and screens come after the links | actors/platform/test_stopping::the_sends_come_before_everything_else_that_is_to_be_done
sending waits for nothing | stops/test_stalled_links::links_that_stall_and_come_free_in_any_order_keep_no_stop_from_anybody actors/platform/test_coordinator::with_journal_and_database_gone_every_engine_is_stopped_and_durable_stays_false actors/platform/test_coordinator::a_stop_is_taken_at_once_while_a_release_hangs actors/links/test_stops::one_slow_engine_delays_nobody_else_s_stop actors/links/test_stops::a_flood_of_logs_does_not_hold_up_a_stop
a release is in database and journal before memory and links | actors/platform/test_coordinator::a_release_is_written_everywhere_before_any_engine_hears_of_it
whatever fails on the way is 503 and still stopped | actors/platform/test_coordinator::a_release_that_cannot_be_written_is_503_and_everything_stays_stopped actors/platform/test_coordinator::a_release_whose_writing_hangs_is_outlived_by_the_stop_even_if_the_disk_gets_it_later
the journal is the point from which it counts | store/test_start::a_release_the_database_alone_has_was_never_committed store/test_start::a_release_in_the_journal_counts_though_the_database_missed_it store/test_journal::a_release_that_could_not_be_written_did_not_happen
# The start
the stops of journal and database together | store/test_start::stops_are_the_union_of_both
only a verified journal's releases count | store/test_start::a_release_the_database_alone_has_was_never_committed store/test_start::a_torn_journal_s_verified_stops_are_open_whatever_the_database_says
a journal that is missing, torn, too old or another database's halts everything | store/test_start::a_journal_that_cannot_be_believed_halts_everything actors/platform/test_platform::a_start_without_the_database_halts_everything_and_still_takes_engines_and_stops
both new is the first start | store/test_start::both_new_is_the_first_start_and_stops_nothing store/test_start::a_crash_between_the_two_first_writes_is_harmless
the first record is in both before anybody is listened to | actors/platform/test_platform::the_first_record_is_in_journal_and_database_before_anybody_can_connect
ignorance opens HALT, no more | store/test_start::ignorance_does_not_flatten_what_the_database_says_was_released
and no less | store/test_start::no_stop_that_was_answered_is_ever_forgotten store/test_start::whatever_is_left_of_the_journal_what_the_database_holds_open_is_stopped
# Links
a link registers before its snapshot is read, and nothing comes in between | actors/links/test_stops::a_stop_taken_while_an_engine_is_being_welcomed_is_never_lost
stops and releases go beyond the window and before unsent commands | wire/test_session::stops_and_releases_overtake_commands_and_ignore_the_window
a message is numbered when it is sent | wire/test_session::a_stop_that_comes_between_two_writes_is_the_next_frame
a heartbeat that lacks a stop is answered with the stop again | actors/links/test_stops::a_heartbeat_that_lacks_a_stop_is_answered_with_the_stop_again
# Phases
pending, sent and received each have their own evidence | actors/links/test_stops::phases_say_sent_when_the_frame_has_left_and_received_when_the_engine_acknowledged
no phase stands for another | actors/platform/test_stopping::sent_received_frozen_and_verified_never_stand_for_each_other
frozen, cancelled, flattened and verified come in this order | wire/sdk/test_stopping::a_flatten_goes_through_every_stage_with_counts
failed | actors/platform/test_stopping::what_cannot_be_closed_now_is_shown_with_its_end_and_alarmed actors/platform/test_stopping::verified_with_evidence_against_it_is_a_failure_with_an_alert
timed out after 30 s: an alert, and it keeps trying | actors/platform/test_stopping::thirty_seconds_without_the_end_are_a_timeout_with_one_alert_and_the_engine_may_still_verify wire/sdk/test_stopping::after_thirty_seconds_it_has_timed_out_and_still_tries properties/test_property_10_11_actors::after_thirty_seconds_an_engine_has_finished_or_is_named_as_late
unreachable at once when not connected, and it obeys on return | actors/links/test_stops::an_engine_that_was_away_gets_the_stop_when_it_returns_and_verifies_it actors/links/test_stops::a_cable_pulled_during_a_stop_is_unreachable_and_the_returning_engine_finishes
who is not reached says why nothing is known | actors/platform/test_stopping::whoever_is_not_reached_has_an_unknown_flatness_that_says_why
superseded and released are ends too | actors/platform/test_stopping::an_engine_that_answers_superseded_or_released_is_through
frozen tells what was in flight and whether it is latched | wire/sdk/test_stopping::a_stop_reports_frozen_with_what_was_in_flight_before_its_latch_is_safe actors/platform/test_stopping::the_timeline_says_of_every_closed_gate_when_it_closed_and_what_had_left_before
the gate is the last step before the socket, behind every throttle | actors/engine/test_no_order_after_frozen::after_frozen_no_order_leaves_but_those_that_reduce actors/engine/test_no_order_after_frozen::an_engine_whose_orders_leave_behind_the_gate_is_found_out actors/engine/test_broker_calls::a_gate_that_closed_meanwhile_stops_the_second_sending
queued orders are discarded | actors/engine/test_trading::after_frozen_the_broker_sees_no_order_but_those_that_close actors/engine/test_no_order_after_frozen::orders_that_wait_for_their_turn_are_discarded_in_the_step_in_which_the_gate_closes
what was written is answered or reconciled before cancelled | wire/sdk/test_stopping::while_a_requests_fate_is_open_nothing_is_cancelled_or_closed wire/sdk/drivers/test_conformance::a_request_in_flight_is_told_and_waited_for wire/sdk/drivers/test_conformance::a_request_whose_answer_is_lost_is_told_by_a_later_read
what makes orders by itself ends at freeze | wire/sdk/test_halting::the_gate_is_closed_before_anything_else_learns_of_the_stop wire/sdk/drivers/test_conformance::what_slices_an_order_ends_in_the_step_in_which_the_gate_closes
an engine closes the gate, says frozen while it writes its latch, then acknowledges | wire/sdk/test_halting::the_gate_is_closed_before_anything_else_learns_of_the_stop wire/sdk/test_world::whatever_happens_nothing_leaves_under_a_stop_and_nothing_acknowledged_is_forgotten
# Done
REDUCE_ONLY and HALT are done when frozen and latched | wire/sdk/test_stopping::halt_is_done_when_the_gate_is_closed_and_the_latch_is_safe actors/platform/test_stopping::a_halt_is_done_when_frozen_and_latched
CANCEL is done by two agreeing reads without a working order | wire/sdk/test_stopping::cancel_is_done_after_two_reads_without_a_working_order_and_leaves_positions wire/sdk/test_stopping::one_clean_read_is_not_enough_and_a_dirty_one_starts_over
FLATTEN by two agreeing reads newer than the last fill | wire/sdk/test_stopping::a_fill_after_the_first_clean_read_makes_both_reads_anew wire/sdk/test_stopping::one_read_without_anything_is_not_yet_flat_and_two_that_overlap_are_one actors/engine/market/test_flattening_in_the_market::a_stop_is_verified_by_two_reads_that_do_not_overlap_and_began_after_the_last_fill
a read that failed or is missing is UNKNOWN | wire/sdk/test_stopping::a_failed_read_is_unknown_and_proves_nothing actors/engine/test_trading::a_balance_that_cannot_be_read_is_unknown_and_never_flat wire/sdk/drivers/test_conformance::an_engine_without_handlers_halts_and_never_claims_more
without an open-order query the notices are needed | actors/engine/test_reconcile::where_no_open_orders_are_offered_the_view_needs_the_notices actors/engine/test_reconcile::where_no_open_orders_are_offered_a_missing_row_ends_an_order_only_if_the_list_has_rows
attempts end with the session | actors/engine/market/test_flattening_in_the_market::after_the_close_nothing_is_sent_any_more_and_in_the_next_session_only_a_person_lets_it wire/sdk/test_blocked::a_closed_market_ends_the_attempts_and_neither_sells_nor_cancels
what is left is blocked until a time, with an open alert | wire/sdk/test_flattening::a_closed_market_blocks_until_the_next_opening actors/platform/test_stopping::what_cannot_be_closed_now_is_shown_with_its_end_and_alarmed
a person confirms before the first order of another session | actors/platform/test_stopping::a_repeated_stop_is_a_persons_word_and_one_of_the_platform_is_not wire/sdk/test_blocked::in_another_session_nothing_is_sent_before_a_person_says_it_again actors/engine/market/test_flattening_in_the_market::a_restart_in_another_session_waits_for_the_person_too actors/platform/test_stopping::a_stop_that_goes_on_is_sent_again_as_a_persons_word_and_changes_nothing_else
# The lease
welcome and heartbeat_ack carry 15 s, or 0 for none | stops/test_contract::the_numbers_of_the_lease actors/links/test_places::a_lease_is_granted_with_heartbeats_of_a_synced_engine_and_not_before wire/test_session::no_lease_is_a_lease_of_no_length
it counts from when the hello was sent | wire/test_session::the_lease_counts_from_when_the_hello_was_sent
or the highest heartbeat that was answered | wire/test_session::the_lease_counts_from_the_highest_answered_heartbeat wire/sdk/test_lease::a_late_answer_to_an_old_heartbeat_never_shortens_or_revives_a_lease
on a clock that goes on in sleep | wire/test_session::the_lease_can_be_counted_on_a_clock_that_goes_on_in_sleep stops/test_contract::an_engine_counts_its_lease_on_the_clock_that_goes_on_in_sleep
orders open only while the lease lives and the level allows | wire/sdk/test_gate::an_order_at_the_instant_of_expiry_is_refused wire/sdk/test_gate::a_gate_is_closed_until_it_has_a_lease actors/engine/test_trading::without_a_lease_nothing_is_ever_sent
the stop in a frame comes before its lease | wire/test_session::the_stop_in_a_frame_comes_before_its_lease
a frame that does not know the engine's epoch gives none | wire/test_session::a_frame_that_does_not_know_our_newest_stop_gives_no_lease
granted only from a coordinator snapshot of at most 2 s | actors/links/test_places::no_lease_is_given_while_the_coordinator_does_not_show_that_it_lives
and while the engine is synced | actors/links/test_places::a_lease_is_granted_with_heartbeats_of_a_synced_engine_and_not_before
at expiry HALT, then CANCEL, then FLATTEN, as the policy says | wire/sdk/test_lease::expiry_then_cancel_then_flatten_are_told_once_and_in_order wire/sdk/test_lease::without_a_wish_to_flatten_nothing_is_flattened actors/engine/market/test_lease_and_risk::a_lease_that_stays_expired_cancels_then_flattens_and_only_a_release_ends_that
HALT by expiry ends with the next lease after reconciliation | actors/engine/market/test_lease_and_risk::an_expired_lease_halts_and_the_next_one_trades_again_after_reconciliation actors/engine/market/test_lease_and_risk::a_lease_that_comes_back_in_time_leaves_no_stop
what ran beyond needs a release | wire/sdk/drivers/test_conformance::a_lost_lease_halts_then_cancels_and_that_needs_a_release
halted by lease is shown only when a slow clock has ended it too | actors/platform/test_rows::an_engine_is_shown_halted_by_its_lease_only_when_even_a_slow_clock_has_ended_it
# Local stops
a sentinel file | wire/sdk/drivers/test_conformance::the_stop_file_stops_without_a_platform_and_needs_a_release actors/engine/test_trading::a_sentinel_file_stops_the_engine_and_is_put_away
the engine's own risk | actors/engine/market/test_lease_and_risk::a_daily_loss_halts_the_engine_and_after_a_release_only_a_greater_one_does_again
the policy of the lease | actors/engine/test_trading::the_lease_runs_out_when_the_platform_goes_and_orders_are_cancelled_by_policy
any cause becomes a stop of that engine under its id | actors/platform/test_stopping::a_stop_of_the_engine_s_own_becomes_one_of_that_engine_with_its_id_whatever_its_cause wire/sdk/test_halting::an_engine_s_own_stop_has_its_id_level_and_cause_and_holds_like_any_other actors/links/test_stops::a_local_stop_is_opened_under_the_engine_s_id_and_confirmed_to_it
two engines may use one id | actors/platform/test_stopping::two_engines_with_the_same_local_id_do_not_become_one_stop_of_everything
an engine boots halted | wire/sdk/test_gate::a_gate_is_closed_until_it_has_a_lease wire/sdk/drivers/test_conformance::the_latch_outlives_the_process_and_boots_halted
a corrupt latch is one HALT of that engine | actors/platform/test_stopping::a_corrupt_latch_halts_its_engine_once actors/platform/test_stopping::the_halt_that_an_engine_with_a_corrupt_latch_brings_is_the_one_stop_for_it wire/sdk/test_halting::a_latch_that_cannot_be_read_halts_until_that_very_stop_is_released
# Release
a waived engine keeps a stop of its own of the same level | actors/platform/test_stopping::a_release_reaches_the_links_and_a_waived_engine_keeps_a_stop_of_its_own actors/platform/test_coordinator::an_engine_that_cannot_be_reached_is_waived_and_keeps_a_stop_of_its_own actors/platform/test_coordinator::an_engine_that_stays_away_collects_no_stops
strategies come back paused unless it says resume | actors/engine/test_trading::a_release_without_resume_leaves_the_strategy_paused_and_one_with_resume_trades_again
a running flatten withdraws its own orders and says released | wire/sdk/test_stopping::a_released_flatten_withdraws_its_own_orders_and_reports_released
a released stop leaves every outbox | wire/test_session::a_released_stop_leaves_every_outbox wire/test_session::a_release_does_not_withdraw_a_newer_epoch_of_the_same_stop
one that still comes is acknowledged, answered superseded and not executed | wire/sdk/test_halting::a_stop_released_before_it_came_is_answered_superseded_and_not_executed wire/sdk/drivers/test_conformance::a_stop_that_comes_after_its_release_is_acknowledged_and_not_executed
a stop is never refused for where it stands, nor for its epoch | wire/test_session::a_stop_is_never_refused_for_where_it_stands wire/sdk/test_halting::epochs_may_jump_and_come_in_any_order
nor for the window or the rate | wire/test_session::stops_and_releases_overtake_commands_and_ignore_the_window actors/links/test_stops::a_flood_of_logs_does_not_hold_up_a_stop
nor for a token | actors/links/test_ends::an_expired_token_closes_the_link_but_never_during_a_stop
nor for what a foreign platform is | wire/sdk/test_halting::what_a_frame_says_is_in_force_is_a_stop_like_any_other_and_a_foreign_platform_may_say_it
# Again, and drills
the same request is the same stop with the highest level | actors/platform/test_stopping::the_same_request_again_is_the_same_stop_and_decides_nothing actors/platform/test_stopping::the_same_request_with_a_higher_level_raises_its_stop actors/platform/test_stopping::the_same_request_with_a_lower_level_lowers_nothing
after its release it comes back released and restarts nothing | actors/platform/test_stopping::a_request_repeated_after_its_release_comes_back_released_and_restarts_nothing actors/platform/test_stopping::a_stop_that_was_put_away_answers_its_request_and_its_key_as_before actors/platform/test_coordinator::an_old_request_is_answered_with_its_stop_and_nobody_s_stop_waits_for_that
the same scope by another id is raised | actors/platform/test_stopping::the_same_scope_by_another_request_raises_the_open_stop_to_a_new_epoch actors/platform/test_platform::two_operators_at_once_have_one_stop_of_the_higher_level_and_both_are_told
a drill is a real, latched stop with a label | actors/platform/test_drills::a_drill_stays_latched_until_a_release_like_any_stop actors/web/test_stops::a_drill_that_names_no_level_is_a_halt
it flattens only where every engine is paper | actors/platform/test_drills::a_drill_that_would_trade_needs_every_engine_on_paper
a label weakens no frame | actors/platform/test_drills::the_label_is_on_the_wire_and_weakens_nothing
# When the main loop does not answer
page and local socket have a thread and a loop of their own | faults/test_wedged_main_loop::a_stop_is_recorded_and_enforced_while_the_main_loop_stands_still actors/platform/test_platform::the_emergency_page_stops_everything_for_whoever_knows_the_code actors/platform/test_platform::the_local_socket_is_private_and_answers_without_a_password
after 1 s: the journal, the sockets, and the words | actors/platform/test_platform::while_the_main_loop_hangs_a_local_stop_is_recorded_and_the_engines_are_cut actors/platform/test_platform::a_stop_recorded_beside_a_hanging_loop_is_the_open_one_of_its_scope_and_never_lower
# POST emergency-stop
it is an operator's | actors/web/test_command_line::a_viewer_may_not_stop actors/web/test_routes::a_role_too_low_is_refused
an empty body stops all and flattens | actors/web/test_stops::an_empty_body_stops_everything_and_flattens
200 when every engine has a final phase | actors/web/test_stops::the_answer_comes_with_the_final_phase_of_the_last_engine
at most 30 s | actors/web/test_stops::a_stop_that_does_not_come_to_an_end_is_answered_within_30_seconds actors/web/test_stops::a_stop_that_nobody_takes_is_a_failure_within_thirty_seconds_and_says_what_else_there_is
who prefers it has 202 at the first durable copy | actors/web/test_stops::a_caller_that_prefers_it_is_answered_at_the_first_durable_copy
or after 250 ms | actors/web/test_stops::without_any_durable_copy_an_async_caller_waits_a_quarter_second
an unknown engine or account is 404, and nothing is done | actors/web/test_stops::an_unknown_engine_is_404_and_nothing_is_done actors/platform/test_stopping::an_unknown_engine_or_account_is_refused_and_nothing_is_stopped
what is malformed is 422, and never a narrower stop | actors/web/test_stops::a_malformed_stop_is_refused_whole_and_never_narrowed
never 409, 412, 429 or 503 | actors/web/test_stops::trouble_of_the_coordinator_is_waited_out_and_never_answered_try_later actors/web/test_stops::a_stop_is_taken_while_the_platform_goes_down actors/web/test_stops::a_stop_works_while_the_database_is_away
a token up to 12 h past its end serves while the database is away | actors/web/test_stops::an_expired_token_stops_only_while_the_database_is_away actors/web/test_stops::an_expired_token_takes_no_stop_after_twelve_hours
unless it is denied in memory | actors/web/test_stops::a_session_that_was_ended_takes_no_stop_even_then
and it is audited as degraded | actors/platform/test_coordinator::a_stop_taken_with_a_token_past_its_end_is_audited_as_degraded
# Preview and lists
a preview counts orders, positions, value and what is blocked, with its age | actors/platform/test_preview::engines_that_spoke_are_summed_with_the_age_of_what_they_said actors/platform/test_preview::blocked_positions_are_named_with_their_reason
what is not known is not 0 | actors/platform/test_preview::an_engine_that_never_spoke_is_unknown_and_not_empty actors/web/test_stops::a_preview_says_null_for_what_is_not_known
stops are shown with released_at and timeline | actors/web/test_stops::a_stop_is_shown_with_every_field actors/web/test_stops::stops_are_listed_from_memory_while_the_database_is_away
# POST release and approve
a release needs the risk role | actors/platform/test_releasing::an_operator_may_not_release
and a password given within 5 min | actors/web/test_stops::a_release_needs_a_password_given_within_five_minutes actors/web/test_stops::an_approval_needs_a_password_given_within_five_minutes_too
409 while the checklist is not met | actors/platform/test_releasing::an_engine_that_is_not_verified_has_to_be_waived_by_name actors/platform/test_releasing::books_that_are_not_reconciled_hold_the_release
the epoch is the one that is open, else 412 | actors/platform/test_releasing::the_epoch_must_be_the_one_that_is_open
another person approves | actors/platform/test_releasing::nobody_approves_himself_while_somebody_else_could actors/platform/test_releasing::one_asks_and_another_approves
a desk of one approves by a second call after 60 s | actors/platform/test_releasing::a_desk_of_one_approves_itself_after_sixty_seconds_and_not_before actors/platform/test_releasing::a_desk_of_one_never_waits_less_because_of_a_restart
no timer releases | actors/platform/test_coordinator::nothing_releases_a_stop_but_two_words_of_people
a raise or a new matching stop voids it | actors/platform/test_releasing::a_raise_voids_what_was_asked actors/platform/test_releasing::a_new_stop_voids_the_requests_of_stops_that_could_hold_the_same_engine
503 while the database is away | actors/platform/test_coordinator::a_release_that_cannot_be_written_is_503_and_everything_stays_stopped
# What is answered
running while a connected engine is not through, else as good as the worst | actors/platform/test_stopping::a_stop_is_running_while_anyone_is_not_through_and_else_as_good_as_its_worst
success only for verified work | actors/platform/test_stopping::verified_with_evidence_against_it_is_a_failure_with_an_alert properties/test_property_10_11_actors::every_connected_engine_cancels_closes_and_reports
durable is stable storage of journal or database | actors/platform/test_coordinator::a_stop_is_durable_as_soon_as_the_journal_has_it_while_the_database_is_away actors/platform/test_coordinator::a_stop_is_durable_as_soon_as_the_database_has_it_while_the_journal_hangs actors/platform/test_platform::a_stop_survives_kill_9_of_the_platform_the_moment_it_is_durable
# The command line
stop is everything, FLATTEN, and asks once unless told yes | actors/cli/test_commands::a_person_at_a_terminal_is_asked_once_what_will_be_stopped actors/cli/test_commands::a_stop_nobody_confirms_is_refused
exit 0 only when all is verified, 1 recorded but not yet verified, 3 refused | actors/web/test_command_line::a_stop_exits_0_only_when_everything_is_verified actors/cli/test_commands::who_cannot_be_signed_in_has_stopped_nothing_and_is_told_the_other_ways actors/cli/test_commands::a_stop_that_was_sent_and_not_answered_is_not_said_to_be_refused
the password comes from a prompt or the environment, the session stays in the home folder, 0600 | actors/web/test_command_line::the_password_is_needed_once_and_the_session_is_kept_private actors/cli/test_commands::without_a_password_nothing_is_asked_in_a_pipe
a session past its end stops while the database is away | actors/cli/test_commands::a_session_past_its_end_stops_while_the_database_is_away_and_nobody_can_sign_in actors/cli/test_commands::a_session_past_its_end_is_renewed_while_the_database_is_there
a disk that keeps no session keeps nobody from stopping | actors/cli/test_commands::a_session_that_cannot_be_kept_keeps_nobody_from_stopping
stop --local needs no password and no database: a socket in the home folder, 0600 | actors/platform/test_platform::the_local_socket_is_private_and_answers_without_a_password actors/platform/test_platform::stop_local_prints_the_id_and_how_far_each_engine_is_like_the_remote_one
with no platform running it is left, synced, where the next start reads it, says so, exit 1 | actors/cli/test_commands::a_local_stop_without_a_platform_is_left_for_the_next_start store/test_left_stops::a_stop_that_is_left_is_on_the_disk_before_anybody_is_told actors/platform/test_platform::with_no_platform_a_stop_is_left_for_the_next_start
release asks, shows and approves | actors/web/test_command_line::a_release_is_asked_for_and_then_approved actors/web/test_command_line::a_release_is_either_asked_for_or_approved
a demo that is started while stopped prints the stop and the release command first | actors/demo/test_greeting::a_demo_that_starts_while_stopped_says_so_first_and_how_to_release_it
# Where it listens, and who may
the emergency page may be off, and a busy address is a warning | actors/cli/test_config::the_emergency_page_can_be_switched_off actors/platform/test_platform::an_emergency_page_whose_address_is_busy_is_a_warning_and_no_more
without TLS no listener is open to others unless it is said | actors/cli/test_config::every_listener_is_behind_tls_where_others_could_reach_it actors/cli/test_config::an_open_address_without_tls_is_refused_unless_asked_for
one platform per home and per database, the other one is refused | actors/platform/test_platform::a_second_platform_in_the_same_home_or_on_the_same_database_is_refused actors/platform/test_platform::a_second_platform_migrates_nothing_under_the_first
readyz is 200 whenever a stop can be taken, and 503 while draining | actors/web/test_routes::the_platform_is_ready_while_the_database_is_away_and_says_what_is_missing actors/web/test_routes::the_platform_is_not_ready_while_it_goes_down
"""  # noqa: E501


def test_every_sentence_about_stops_is_shown_by_tests_that_exist_and_run():
    assert unshown(SHOWN_BY) == {}
    assert len(rows_of(SHOWN_BY)) > 125


def test_the_numbers_of_the_lease():
    assert LEASE_SECONDS == 15.0
    assert (LeaseExpiry().cancel_after_ms, LeaseExpiry().flatten_after_ms) == (30_000, None)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that goes on in sleep")
def test_an_engine_counts_its_lease_on_the_clock_that_goes_on_in_sleep(monkeypatch):
    asked = []

    def slept(clock):
        asked.append(clock)
        return 5_000.0

    monkeypatch.setattr(time, "clock_gettime", slept)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert (BootClock().now(), asked) == (5_000.0, [time.CLOCK_BOOTTIME])
