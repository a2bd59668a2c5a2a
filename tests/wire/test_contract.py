"""The contract of both links, sentence by sentence, and the test that shows each; a sentence without one fails here."""

import ast
from pathlib import Path

import pytest

from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, Lane
from wire.ui import BOOKMARK_MS, DELIVERY, OFFLINE_MS, Delivery, Topic

TESTS = Path(__file__).resolve().parents[1]

SHOWN_BY = """
# The engine link
refusals before the upgrade are HTTP with an error body | test_what_the_engine_s_door_refuses_is_http_with_a_status_and_a_reason
text frames, one JSON object, bounded, no compression | test_a_frame_that_breaks_a_rule_ends_its_own_connection_and_no_other
no compression is agreed on | test_no_compression_is_agreed_on_and_a_compressed_frame_ends_the_link
seq is +1 per direction and session from 1 | test_a_session_that_one_side_forgot_is_numbered_afresh | test_a_resumed_session_repeats_what_is_not_committed_with_the_same_numbers
ack may ride on any frame | test_any_frame_carries_the_ack
id is durable and equals payload.id of a trade log | test_an_id_is_given_to_every_lossless_message_and_an_impossible_one_is_refused
crit that is not understood is nacked and not executed | test_an_invalid_message_is_nacked_and_counted_and_the_next_one_is_taken
unknown fields are ignored at every level | test_fields_nobody_knows_are_ignored
an unknown type with a seq is counted and nacked, never a close | test_an_invalid_message_is_nacked_and_counted_and_the_next_one_is_taken
the lanes | test_the_lanes_are_those_of_the_contract
an engine that meets another platform stays halted | test_another_platform_than_its_own_gives_no_lease_but_its_stops_count
auth is acknowledged, or nacked and closed with 4504 | test_a_fresh_token_is_acknowledged_and_a_bad_one_ends_the_link | test_another_engine_s_token_renews_no_link
an ack means committed | test_an_ack_means_committed_and_comes_within_two_hundred_milliseconds_of_it | test_what_an_engine_tells_is_acknowledged_only_once_it_is_committed
acks are at most 64 messages late | test_sixty_four_messages_are_acknowledged_at_once
an invalid message with a seq is counted and nacked | test_a_numbered_message_that_cannot_be_kept_is_nacked_and_the_link_goes_on
commands are acked when noted | test_a_history_goes_wrong_without_the_rule_and_well_with_it
last+1 is processed, the old dropped and acked, a gap closed with 4009 | test_a_gap_is_4009_and_a_repetition_is_dropped_and_acknowledged_again
duplicates die on engine and id | test_what_was_told_twice_is_kept_once
welcome is a barrier | test_a_history_goes_wrong_without_the_rule_and_well_with_it | test_a_commit_of_an_older_connection_confirms_nothing
the newest connection of an instance wins, the old one gets 4501 | test_the_same_instance_takes_its_place_back_and_resumes_its_session | test_a_hello_that_a_newer_connection_overtook_takes_nothing_over
another instance gets 4023 for 7.5 s | test_another_instance_is_turned_away_while_the_first_may_be_alive
then no lease until the first one's is over, or its goodbye | test_another_instance_gets_no_lease_before_the_first_one_s_is_surely_over | test_an_engine_that_said_goodbye_may_be_followed_at_once
expires_ms is what is left at each sending, and gap_fill takes the number | test_an_expired_command_is_never_sent | test_a_command_that_expired_while_away_is_replaced_by_a_gap_fill_and_the_other_tells_the_time_left
a late applied is applied_late with an alert | test_without_an_answer_it_expires_after_ten_seconds_and_a_late_one_raises_an_alert
other parameters than desired hold the strategy | test_an_engine_with_other_values_is_held_until_the_wanted_ones_are_in_force_again
a stale stop epoch is refused and sent once more | test_parameters_are_applied_between_ticks_and_echoed_and_a_stale_epoch_is_refused | test_a_change_overtaken_by_a_released_stop_is_sent_once_more
a heartbeat every 5 s on a fixed grid | test_heartbeats_stand_on_a_grid_of_five_seconds_however_late_each_is | test_an_hour_of_a_quiet_link_is_a_heartbeat_every_five_seconds
suspect after 7.5 s, offline after 15 s with 4008 | test_a_platform_without_a_valid_message_is_suspect_after_7500_ms_and_offline_after_15_s | test_both_ends_of_a_half_open_connection_find_out_within_fifteen_seconds
hello within 5 s | test_the_hello_has_five_seconds | test_a_link_without_a_hello_is_closed_with_4008
a send that stalls for 10 s is aborted | test_a_stalled_send_is_aborted_after_ten_seconds_and_never_reused | test_an_engine_that_takes_nothing_is_cut_off_after_ten_seconds
4101 at expiry + 30 s | test_an_expired_token_closes_after_thirty_seconds_unless_it_is_held
never during a stop, never while the database is away | test_an_expired_token_closes_the_link_but_never_during_a_stop | test_an_expired_token_closes_no_link_while_the_database_is_away_and_closes_it_afterwards
full jitter, and at most 1 s for a session that can be resumed | test_a_reconnect_waits_with_full_jitter_up_to_thirty_seconds
4000 to 4499 reconnect, from 4500 stop and show | test_only_codes_from_4500_stop_a_client
a drain says goodbye and closes with 4000 | test_going_down_says_goodbye_to_the_engines_and_closes_with_4000
4503 for another engine's name | test_the_name_in_the_envelope_must_be_the_name_of_the_link
4506 for another version | test_another_protocol_version_is_4506_even_when_its_hello_cannot_be_read
4511 when deregistered | test_a_deregistered_engine_s_link_is_closed_with_4511
1009 too large, 1011 a bug | test_hostile_frames_end_the_connection | test_a_failing_handler_is_1011_and_hurts_nobody_else
4030 for who does not keep to the rate | test_a_flood_of_invalid_messages_is_rate_limited
windows, and stops beyond them | test_the_window_is_256_up_and_64_down | test_stops_and_releases_overtake_commands_and_ignore_the_window
sixteen places are kept for what matters | test_a_full_outbox_counts_what_it_loses_and_keeps_room_for_what_matters
an overflow is a gap_fill and an error_report | test_an_engine_whose_outbox_overflows_says_so_once_and_names_how_many_are_lost | test_what_an_engine_had_no_room_for_is_told_to_people
conflated messages are never repeated | test_conflated_messages_keep_their_place_and_only_the_newest_is_sent
skew is measured by the fastest of eight, shown, and warned of | test_of_the_last_eight_exchanges_the_fastest_counts | test_a_clock_that_is_off_by_more_than_half_a_second_is_shown_and_warned_of_once
# The UI link
a present origin is on the list or 403, none is accepted | test_a_page_of_another_origin_is_refused_before_the_upgrade | test_no_origin_is_no_browser_and_its_token_decides
the token comes in the first message, within 5 s | test_a_first_frame_that_is_no_good_hello_ends_the_link | test_a_browser_that_says_no_hello_within_five_seconds_is_closed
welcome, then a snapshot or a delta of each topic | test_a_browser_gets_welcome_snapshot_and_deltas | test_a_browser_that_comes_back_with_its_offset_gets_only_what_it_missed
another epoch starts from a snapshot | test_a_reader_of_another_epoch_starts_from_a_snapshot
snapshots agree with the deltas that follow | test_whatever_a_reader_does_it_has_every_item_once_or_knows_which_it_missed
what was conflated is counted | test_only_the_latest_of_a_key_is_sent_and_what_it_replaced_is_counted
a gap is explicit | test_what_a_slow_reader_misses_of_a_ring_is_named_exactly | test_a_slow_reader_of_telemetry_gets_the_rest_with_an_explicit_gap
a bookmark every 2 s with all offsets | test_bookmarks_go_out_every_two_seconds_with_all_offsets
offline after 10 s without a frame | test_a_browser_that_answers_bookmarks_stays_and_a_silent_one_is_closed_after_ten_seconds
what is conflated, in a ring, lossless | test_the_topics_are_delivered_as_the_contract_says
4029 for a slow client, and nobody else notices | test_a_browser_that_does_not_read_is_given_up_and_nobody_else_notices
auth refreshes in band | test_a_new_token_is_taken_in_band
"""  # noqa: E501


def rows():
    lines = [line for line in SHOWN_BY.strip().splitlines() if not line.startswith("#")]
    return [[part.strip() for part in line.split("|")] for line in lines]


@pytest.fixture(scope="module")
def known():
    names = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
    return names


def test_every_sentence_of_the_contract_is_shown_by_a_test_that_exists(known):
    assert {row[0]: [name for name in row[1:] if name not in known] for row in rows() if set(row[1:]) - known} == {}


CONTROL = {"ack", "nack", "gap_fill", "goodbye"}
LANES_OF_THE_CONTRACT = {
    ("up", Lane.CONTROL): {*CONTROL, "hello", "auth", "heartbeat"},
    ("up", Lane.LOSSLESS): {
        "trade_log", "order_update", "fill", "engine_status", "strategy_status", "error_report", "stop_progress",
        "local_stop", "parameter_result",
    },
    ("up", Lane.CONFLATED): {"health_update", "positions", "account"},
    ("down", Lane.CONTROL): {*CONTROL, "welcome", "heartbeat_ack"},
    ("down", Lane.LOSSLESS): {"emergency_stop", "release", "parameter_update", "config_changed"},
}  # fmt: skip


@pytest.mark.parametrize("direction, lane", LANES_OF_THE_CONTRACT)
def test_the_lanes_are_those_of_the_contract(direction, lane):
    table = ENGINE_UP if direction == "up" else ENGINE_DOWN
    ours = {name for name, cls in table.items() if LANES[cls] is lane}
    assert LANES_OF_THE_CONTRACT[direction, lane] <= ours


def test_the_topics_are_delivered_as_the_contract_says():
    for topic in (Topic.HEALTH, Topic.ACCOUNTS):
        assert DELIVERY[topic] is Delivery.LATEST
    for topic in (Topic.TRADES, Topic.ORDERS, Topic.FILLS):
        assert DELIVERY[topic] is Delivery.RING
    for topic in (Topic.STOPS, Topic.ALERTS):
        assert DELIVERY[topic] is Delivery.LOSSLESS
    assert set(DELIVERY) == set(Topic)
    assert (BOOKMARK_MS, OFFLINE_MS) == (2000, 10_000)
