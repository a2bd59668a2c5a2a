"""What people who run such engines asked for, and what rules of safety ask of a stop, with the tests that show each.

The contract's own sentences are in ``test_contract.py``; here is what stands beside them.
"""

from tests.stops.sentences import rows_of, unshown

SHOWN_BY = """
# What went wrong elsewhere: the stop
the gate closes before anything is sold | wire/sdk/test_halting::the_gate_is_closed_before_anything_else_learns_of_the_stop wire/sdk/drivers/test_conformance::closing_orders_pass_only_after_the_stop_and_never_open_anything
the level is in the command and is no default of an engine | actors/web/test_stops::a_stop_carries_what_was_asked wire/sdk/test_gate::every_cell_of_the_table_of_levels_and_purposes
there are grades between nothing and everything | wire/test_stops::levels_rise_from_normal_to_flatten
an engine stops by itself when its limits are reached | actors/engine/market/test_lease_and_risk::a_daily_loss_halts_the_engine_and_after_a_release_only_a_greater_one_does_again actors/engine/market/test_lease_and_risk::a_broker_that_refuses_one_order_after_another_halts
one symbol can be stopped | actors/platform/test_preview::a_symbol_s_stop_counts_that_symbol_alone wire/test_stops::the_level_of_a_strategy_in_a_symbol_is_the_highest_of_the_open_stops_that_cover_it
whatever stops by itself says by what and with which numbers | actors/engine/risk/test_triggers::books_that_differ_from_the_broker_trip_with_the_words actors/incidents/test_report::every_cause_has_its_words actors/engine/risk/test_pretrade::the_words_name_the_numbers
a rule that fails is the safe side, and nothing is done without evidence | actors/engine/market/test_lease_and_risk::a_judgement_that_fails_warns_and_then_only_reduces_and_stops_nobody_from_judging_again actors/alarms/test_watch::an_engine_that_cannot_be_judged_is_warned_of_then_may_only_reduce_and_hides_no_other
a limit that tripped does not trip again by itself after a restart or a release | actors/engine/risk/test_triggers::what_was_stopped_for_is_remembered_over_a_restart_and_forgotten_on_another_day actors/engine/risk/test_triggers::one_loss_is_one_stop_and_after_a_release_a_tenth_of_the_limit_more_is_another
no order is made after frozen | actors/engine/test_no_order_after_frozen::after_frozen_no_order_leaves_but_those_that_reduce actors/engine/test_no_order_after_frozen::an_engine_whose_orders_leave_behind_the_gate_is_found_out
what the broker shows counts, and the stop outlives a restart | wire/sdk/drivers/test_killed::a_flatten_goes_on_after_kill_9_and_no_share_is_sold_twice actors/engine/test_trading::a_killed_engine_with_a_latched_stop_returns_stopped_and_finishes_its_work
orders that a new process finds are not left to themselves | actors/engine/test_desk_in_trouble::orders_that_a_new_process_finds_working_are_not_left_to_themselves wire/sdk/test_executor::a_restart_without_the_platform_does_not_leave_working_orders_to_themselves
a stop of one touches nobody else's orders | actors/platform/test_stopping::an_account_stop_reaches_the_engines_of_that_account_only properties/test_property_10_11_actors::every_connected_engine_cancels_closes_and_reports
there is pause and resume besides | actors/links/test_commands::a_strategy_goes_on_by_a_command_with_the_present_epoch_and_the_engine_s_word_is_the_answer wire/sdk/test_single_strategies::one_strategy_is_paused_over_a_restart_and_goes_on
taken, recorded, received, frozen and verified are words of their own | actors/platform/test_stopping::sent_received_frozen_and_verified_never_stand_for_each_other actors/cli/test_progress::recorded_is_said_of_stable_storage_alone_and_verified_of_the_work actors/platform/test_stopping::that_a_halt_is_verified_counts_only_with_its_latch
what is only wanted is not shown as if it were so | actors/platform/test_rows::a_strategy_is_shown_as_its_engine_says_and_not_as_a_stop_wants_it
what could not be closed is listed by symbol | actors/cli/test_progress::what_is_left_is_named_by_symbol_and_reason actors/platform/test_stopping::what_cannot_be_closed_now_is_shown_with_its_end_and_alarmed
a failed read is unknown, and an empty list is not flat | wire/sdk/test_stopping::a_failed_read_is_unknown_and_proves_nothing actors/engine/test_reconcile::where_no_open_orders_are_offered_a_missing_row_ends_an_order_only_if_the_list_has_rows
nothing is ever released by itself | actors/platform/test_coordinator::nothing_releases_a_stop_but_two_words_of_people
positions are closed under a closed gate, by orders that only reduce | wire/sdk/test_gate::a_reducing_order_may_not_take_more_than_is_held wire/sdk/test_stopping::verified_means_flat_at_the_broker_and_no_mood_of_the_broker_makes_it_sell_more_than_was_held
every heartbeat says what is stopped | actors/links/test_stops::a_heartbeat_that_lacks_a_stop_is_answered_with_the_stop_again
what a stop would meet is shown before | actors/platform/test_preview::engines_that_spoke_are_summed_with_the_age_of_what_they_said
orders of an earlier process are cancelled too | actors/engine/test_reconcile::a_strangers_order_is_seen_first_as_a_problem_and_then_as_one_that_a_stop_can_cancel
one command freezes, cancels, closes and verifies | wire/sdk/test_stopping::a_flatten_goes_through_every_stage_with_counts
what slices an order ends at the freeze | wire/sdk/drivers/test_conformance::what_slices_an_order_ends_in_the_step_in_which_the_gate_closes
several ways to stop need nothing of each other | wire/sdk/drivers/test_conformance::the_stop_file_stops_without_a_platform_and_needs_a_release actors/platform/test_platform::the_emergency_page_stops_everything_for_whoever_knows_the_code faults/test_wedged_main_loop::a_stop_is_recorded_and_enforced_while_the_main_loop_stands_still
# What went wrong elsewhere: closing
what is left is read again until it is stable | wire/sdk/test_blocked::it_is_looked_at_again_and_sold_when_the_symbol_trades_and_the_stop_is_verified
closing knows the market's state | actors/engine/market/test_flattening_in_the_market::in_a_volatility_interruption_one_order_waits_for_the_single_price actors/engine/market/test_flattening_in_the_market::at_the_lower_limit_without_a_buyer_one_order_waits_in_the_queue actors/engine/market/test_flattening_in_the_market::in_the_closing_auction_the_order_waits_for_the_close actors/engine/market/test_flattening_in_the_market::an_odd_lot_stays_and_says_so
a halted symbol is an open task | actors/engine/market/test_flattening_in_the_market::a_halted_symbol_leaves_a_residual_the_rest_is_sold_and_it_is_sold_when_it_trades_again
failing is an alarm and not the end | wire/sdk/test_stopping::after_thirty_seconds_it_has_timed_out_and_still_tries actors/platform/test_stopping::thirty_seconds_without_the_end_are_a_timeout_with_one_alert_and_the_engine_may_still_verify
# What nobody else has
a restart of platform, engine or both raises no permission | stops/test_simulation::promises_hold_through_every_trouble stops/test_small_world::no_history_goes_wrong
an engine halts without its platform, then cancels | wire/sdk/test_lease::expiry_then_cancel_then_flatten_are_told_once_and_in_order actors/engine/market/test_lease_and_risk::a_lease_that_stays_expired_cancels_then_flattens_and_only_a_release_ends_that
a lease comes only after reconciliation | wire/sdk/test_gate::a_gate_is_closed_until_the_books_agree_with_the_broker wire/sdk/test_executor::a_comparison_under_way_when_the_books_were_doubted_settles_nothing
nothing blocks the lane of a stop | actors/links/test_stops::a_flood_of_logs_does_not_hold_up_a_stop actors/links/test_stops::one_slow_engine_delays_nobody_else_s_stop actors/platform/test_coordinator::with_journal_and_database_gone_every_engine_is_stopped_and_durable_stays_false
a stop raises monotonically, whatever the order of news | wire/test_stops::one_more_stop_never_lowers_any_level wire/test_stops::merging_is_commutative
two persons release, with a checklist, and a desk of one waits | actors/platform/test_releasing::one_asks_and_another_approves actors/platform/test_releasing::a_desk_of_one_approves_itself_after_sixty_seconds_and_not_before
the checklist names engines, books, cause and parameters | actors/platform/test_releasing::an_engine_that_is_not_verified_has_to_be_waived_by_name actors/platform/test_releasing::books_that_are_not_reconciled_hold_the_release actors/platform/test_releasing::the_checklist_names_the_parameters_with_which_trading_would_go_on
trading may begin again with small orders | wire/sdk/drivers/test_conformance::after_a_release_with_reduced_limits_only_small_orders_leave
absence is never normal, and no known engine vanishes | actors/platform/test_rows::an_engine_this_platform_has_not_heard_is_offline_when_an_earlier_one_heard_it_else_never actors/platform/test_fleet::silence_is_shown_when_it_changes_something_and_never_before
today's loss outlives a restart | actors/engine/risk/test_triggers::a_restart_at_any_moment_never_makes_todays_loss_smaller actors/engine/market/test_lease_and_risk::neither_a_restart_nor_a_deleted_ledger_makes_todays_loss_smaller
an engine that vanished with positions, or whose clock is off, is stopped | actors/alarms/test_triggers::an_engine_that_vanished_with_positions_is_halted_after_a_minute actors/alarms/test_triggers::a_clock_that_is_off_for_three_heartbeats_allows_no_new_positions
drills are real, marked, reported and due | actors/platform/test_drills::a_drill_stays_latched_until_a_release_like_any_stop actors/platform/test_drills::the_last_drill_counts_for_thirty_days actors/incidents/test_report::a_drill_cannot_be_mistaken
the audit log says of a drill that it was one | actors/platform/test_platform::stops_that_the_audit_log_could_not_take_are_in_it_once_and_in_order_after_the_next_start
every stop writes its report | actors/incidents/test_office::a_report_is_written_when_the_stop_ends_and_again_when_it_is_released actors/incidents/test_report::each_stage_is_timed_from_the_request_and_counts_once actors/incidents/test_report::both_languages_have_the_same_words
# Whenever it comes
while an engine comes back | actors/links/test_stops::a_stop_taken_while_an_engine_is_being_welcomed_is_never_lost actors/links/test_stops::a_cable_pulled_during_a_stop_is_unreachable_and_the_returning_engine_finishes
while a token expires | actors/links/test_ends::an_expired_token_closes_the_link_but_never_during_a_stop
while parameters change | actors/platform/test_parameters::a_change_overtaken_by_a_released_stop_is_sent_once_more actors/engine/test_trading::parameters_are_applied_between_ticks_and_echoed_and_a_stale_epoch_is_refused
while another stop runs, or a release is written | wire/sdk/test_stopping::two_stops_over_one_position_close_it_once wire/sdk/test_stopping::cancel_is_not_done_while_an_order_works_that_closes_for_another_stop actors/platform/test_coordinator::a_stop_taken_while_a_release_is_written_voids_it
while the platform starts, or goes down | actors/platform/test_platform::with_no_platform_a_stop_is_left_for_the_next_start actors/web/test_stops::a_stop_is_taken_while_the_platform_goes_down
by two operators at once | actors/platform/test_platform::two_operators_at_once_have_one_stop_of_the_higher_level_and_both_are_told
# On the screen
the stop opens by a key from anywhere, and Cancel has the focus | ui/test_dashboard::the_stop_opens_by_key_from_inside_a_field_and_the_focus_is_on_cancel
the dialog names what will happen and to whom | ui/test_dashboard::the_dialog_names_what_will_happen_and_to_whom
it is in view on every page and every width | ui/test_dashboard::no_page_scrolls_sideways_and_the_stop_is_always_in_view
the emergency page looks like it, and names the other ways | ui/test_emergency_page::the_button_looks_like_the_stop_and_stays_in_view_and_the_other_ways_stand_below
no answer is never parked, and the other ways are named | ui/test_dashboard::a_stop_without_an_answer_is_never_parked_and_names_the_other_ways
every engine is followed to its proof | ui/test_dashboard::the_console_follows_every_engine_to_its_proof
the banner stays for everybody until the release | ui/test_dashboard::the_banner_stays_on_every_page_until_a_person_released_the_stop
a stop is heard, an alarm until it is acknowledged | ui/test_dashboard::a_new_stop_is_heard_and_a_critical_alert_until_it_is_acknowledged
every operator sees each step within a second | actors/platform/test_coordinator::every_operator_sees_a_stop_and_each_step_of_it_within_a_second_while_nothing_can_be_written actors/web/test_hub::a_stop_or_an_alert_waits_for_no_tick
# Rules of safety
a stop needs no database, no audit, no password hash and no disk | actors/platform/test_coordinator::with_journal_and_database_gone_every_engine_is_stopped_and_durable_stays_false actors/web/test_stops::a_stop_works_while_the_database_is_away store/test_keyring::hashes_wait_for_each_other
its answer says who has it, and whether it is recorded | actors/platform/test_coordinator::a_stop_is_durable_as_soon_as_the_journal_has_it_while_the_database_is_away actors/cli/test_progress::recorded_is_said_of_stable_storage_alone_and_verified_of_the_work
what a local operator left stays on the disk until another copy is there | actors/platform/test_platform::a_stop_that_was_left_stays_on_the_disk_until_another_copy_is_there actors/cli/test_local_socket::while_the_platform_says_nothing_the_stop_is_on_the_disk_until_another_copy_is
an open stop goes on without the database too | actors/web/test_stops::an_open_stop_is_continued_while_the_database_is_away_too
any one copy that is left brings it back | stops/test_set_back::stops_that_only_engines_remember_are_open_again_and_the_next_is_above_them stops/test_set_back::a_raise_that_only_an_engine_remembers_holds_again
no knowledge is stopped | store/test_start::a_journal_that_cannot_be_believed_halts_everything wire/sdk/test_halting::a_latch_that_cannot_be_read_halts_until_that_very_stop_is_released wire/sdk/test_latch::a_corrupt_latch_halts_also_where_no_copy_of_it_can_be_kept
resuming is the guarded direction | actors/platform/test_platform::while_the_audit_log_takes_nothing_stops_are_taken_and_no_release_is actors/platform/test_coordinator::a_release_that_cannot_be_written_is_503_and_everything_stays_stopped actors/web/test_stops::an_approval_needs_a_password_given_within_five_minutes_too
authority degrades for a stop alone, and not to nothing | actors/web/test_stops::the_grace_of_an_expired_token_serves_for_nothing_but_a_stop actors/web/test_stops::a_forged_token_takes_no_stop_while_the_database_is_away_either actors/web/test_stops::a_session_that_was_ended_takes_no_stop_even_then
the audit log has no gap, each stop once and in order | actors/platform/test_platform::stops_that_the_audit_log_could_not_take_are_in_it_once_and_in_order_after_the_next_start actors/platform/test_untold::what_was_taken_and_raised_is_told_in_its_order
a half-open link is noticed on both sides | faults/test_unstable_links::both_ends_of_a_half_open_connection_find_out_within_fifteen_seconds
an alert is told within five seconds and stays until a person acknowledges it | actors/alarms/test_conditions::a_degraded_part_is_an_alert_within_five_seconds actors/alarms/test_watch::a_part_that_does_not_work_is_said_within_five_seconds store/test_records::an_alert_is_open_until_the_first_person_acknowledges_it
a lost journal and a corrupt latch are alerts | actors/platform/test_platform::a_journal_that_the_database_had_not_heard_of_when_the_first_start_was_killed_is_missed_later actors/platform/test_stopping::a_corrupt_latch_halts_its_engine_once
# Faults
killed at any step, nothing acknowledged is forgotten | stops/test_simulation::killed_at_any_step_nothing_promised_is_forgotten actors/platform/test_platform::a_stop_survives_kill_9_of_the_platform_the_moment_it_is_durable store/test_journal::what_was_acknowledged_survives_kill_9_again_and_again
a database that hangs holds up nothing | actors/platform/test_coordinator::a_stop_is_durable_as_soon_as_the_journal_has_it_while_the_database_is_away actors/links/test_telling::with_the_database_away_stops_heartbeats_and_leases_go_on
a journal that fails is said, alarmed, and never written behind a failed sync | store/test_journal::after_a_failed_sync_the_descriptor_is_never_used_again_and_the_stop_is_carried actors/platform/test_keeping::a_stop_that_the_journal_refuses_is_alarmed_once_and_written_soon
links that stall and come free in any order keep no stop from anybody | stops/test_stalled_links::links_that_stall_and_come_free_in_any_order_keep_no_stop_from_anybody
two platforms, two instances: one is fenced | faults/test_usurper::a_platform_that_was_away_ends_with_3_once_another_one_has_its_database actors/links/test_places::another_instance_gets_no_lease_before_the_first_one_s_is_surely_over
browsers that do not read hold up nobody | actors/web/test_link::a_browser_that_does_not_read_is_given_up_and_nobody_else_notices
a crowd at the doors keeps no person from stopping | faults/test_crowded_doors::a_person_gets_through_every_door_that_a_crowd_stands_at actors/web/test_ways::who_never_ends_a_request_takes_no_place_from_who_asks
a peer that resets inside the handshake leaves nothing | faults/test_hostile_peers::resets_inside_the_handshake_free_their_place_at_once
"""  # noqa: E501


def test_everything_that_was_asked_of_a_stop_is_shown_by_tests_that_exist_and_run():
    assert unshown(SHOWN_BY) == {}
    assert len(rows_of(SHOWN_BY)) > 60
