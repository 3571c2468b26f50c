//! No key without an effect: every leaf of the schema names the test that shows
//! what it changes. A new key makes this fail until somebody has shown that.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::run;

/// Key, and the test that shows its behaviour.
const SHOWN: &[(&str, &str)] = &[
    ("version", "settings::another_version_of_the_format_is_refused"),
    ("server.listen.address", "http_edge::only_the_configured_address_is_bound"),
    ("server.listen.port", "first_readme::mcp_server_port_and_upstream_url_replace_the_file"),
    ("server.transport", "http_edge::each_transport_can_be_served_alone"),
    ("server.read_timeout", "http_edge::a_slow_body_does_not_hold_a_connection"),
    ("server.write_timeout", "settings::a_client_that_does_not_read_is_cut_off_by_write_timeout"),
    ("server.idle_timeout", "http_edge::an_idle_connection_is_closed_but_a_stream_is_not"),
    ("server.header_timeout", "http_edge::slow_headers_do_not_hold_a_connection"),
    ("server.graceful_shutdown", "shutdown::a_call_that_never_ends_does_not_outlast_the_grace"),
    ("server.max_connections", "http_edge::connections_over_the_limit_wait_or_are_refused"),
    (
        "server.limits.max_body_bytes",
        "http_edge::a_body_over_the_limit_is_refused_before_it_is_read",
    ),
    ("server.limits.max_header_bytes", "http_edge::headers_over_the_limits_are_refused"),
    ("server.limits.max_headers", "http_edge::headers_over_the_limits_are_refused"),
    ("server.security.allowed_hosts", "http_edge::allowed_hosts_and_origins_widen_the_check"),
    ("server.security.allowed_origins", "http_edge::allowed_hosts_and_origins_widen_the_check"),
    (
        "server.security.enable_security_headers",
        "http_edge::security_headers_are_on_and_can_be_switched_off",
    ),
    ("session.ttl", "sessions::an_idle_session_and_an_old_session_end"),
    ("session.idle_timeout", "sessions::an_idle_session_and_an_old_session_end"),
    ("session.max_sessions", "sessions::sessions_in_use_are_not_displaced_by_one_over_the_limit"),
    (
        "session.max_in_flight",
        "sessions::requests_over_the_limit_of_a_session_are_refused_until_one_is_answered",
    ),
    (
        "session.max_stateless",
        "sessions::stateless_requests_over_the_limit_are_refused_until_one_is_answered",
    ),
    ("session.key_file", "continuity::a_session_outlives_its_gateway_where_the_key_does"),
    ("session.replay_events", "continuity::no_more_is_kept_of_a_stream_than_the_limits_allow"),
    ("session.replay_bytes", "continuity::no_more_is_kept_of_a_stream_than_the_limits_allow"),
    ("session.replay_total_bytes", "continuity::no_more_is_kept_of_a_stream_than_the_limits_allow"),
    ("session.queue_size", "settings::queue_size_bounds_what_waits_for_a_client_without_a_stream"),
    ("upstream.name", "settings::the_name_of_the_server_is_in_rows_metrics_and_input"),
    ("upstream.url", "first_readme::mcp_server_port_and_upstream_url_replace_the_file"),
    ("upstream.command", "stdio_child::the_child_gets_its_arguments_without_a_shell"),
    ("upstream.env", "stdio_child::the_child_sees_only_the_environment_it_is_given"),
    ("upstream.env_allow", "stdio_child::the_child_sees_only_the_environment_it_is_given"),
    ("upstream.cwd", "stdio_child::the_child_starts_in_the_folder_that_is_configured"),
    ("upstream.transport", "settings::the_transport_of_the_server_is_found_out_or_insisted_on"),
    ("upstream.timeout", "fail_closed::a_silent_server_is_given_up_in_time_and_told"),
    ("upstream.connection_pool.max_idle", "settings::idle_connections_are_kept_as_configured"),
    ("upstream.connection_pool.max_open", "settings::max_open_makes_calls_wait_for_their_turn"),
    ("upstream.connection_pool.idle_timeout", "settings::idle_connections_are_kept_as_configured"),
    ("upstream.retry.enabled", "settings::connecting_is_tried_again_as_configured"),
    ("upstream.retry.max_attempts", "settings::connecting_is_tried_again_as_configured"),
    ("upstream.retry.initial_delay", "settings::connecting_is_tried_again_as_configured"),
    ("upstream.retry.max_delay", "settings::connecting_is_tried_again_as_configured"),
    ("upstream.retry.backoff", "settings::connecting_is_tried_again_as_configured"),
    ("upstream.max_message_bytes", "settings::an_answer_over_max_message_bytes_is_refused"),
    ("upstream.min_protocol_version", "sessions::a_server_that_is_too_old_is_refused"),
    ("agent.id", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.name", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.capabilities", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.model", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.publisher", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.tags", "main_job::policy_sees_both_shapes_of_the_input"),
    ("agent.roles", "main_job::policy_sees_both_shapes_of_the_input"),
    ("policy.enabled", "main_job::policy_switched_off_forwards_all_and_still_records"),
    ("policy.mode", "main_job::audit_mode_forwards_and_writes_down_what_it_would_have_denied"),
    ("policy.policy_dir", "settings::an_empty_policy_folder_name_means_the_shipped_policies"),
    ("policy.data_file", "settings::a_data_file_is_what_rules_read"),
    ("policy.environment", "main_job::policy_sees_both_shapes_of_the_input"),
    ("policy.cache.enabled", "settings::the_cache_is_used_bounded_and_forgets_as_configured"),
    ("policy.cache.max_entries", "settings::the_cache_is_used_bounded_and_forgets_as_configured"),
    ("policy.cache.ttl", "settings::the_cache_is_used_bounded_and_forgets_as_configured"),
    ("policy.cache.verify_every", "settings::one_in_verify_every_reused_decisions_is_made_again"),
    ("policy.bundle.url", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.file", "bundles::a_bundle_in_a_file_is_watched_and_verified_by_its_public_key"),
    ("policy.bundle.token", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.ca_file", "bundles::over_https_the_certificate_must_come_from_ca_file"),
    (
        "policy.bundle.public_keys",
        "bundles::a_bundle_in_a_file_is_watched_and_verified_by_its_public_key",
    ),
    ("policy.bundle.shared_keys", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.key_id", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.scope", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.poll_interval", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.persist_file", "bundles::a_signed_bundle_is_fetched_followed_and_kept"),
    ("policy.bundle.max_bytes", "bundles::a_bundle_over_max_bytes_is_refused"),
    ("policy.rules", "rule_modes::a_watched_rule_passes_and_says_what_it_would_deny"),
    ("policy.deny_as", "denials::deny_as_tool_error_answers_a_call_with_a_result_that_models_read"),
    ("policy.hide_denied", "denials::hide_denied_answers_as_if_there_were_no_such_thing"),
    ("policy.headers", "denials::policy_sees_the_headers_that_are_named_and_no_other"),
    ("policy.json_policy_dir", "denials::policies_written_in_json_decide_with_the_others"),
    ("policy.watch_for_changes", "reload::without_watching_the_files_only_who_asks_is_served"),
    (
        "policy.reload.replay",
        "reload::what_recorded_calls_would_now_be_allowed_is_found_by_deciding_them_again",
    ),
    ("policy.reload.hold_weaker", "reload::a_weaker_set_waits_for_a_person"),
    ("policy.evaluation.max_instructions", "settings::an_evaluation_over_its_limits_is_a_denial"),
    ("policy.evaluation.max_input", "settings::an_evaluation_over_its_limits_is_a_denial"),
    ("approval.db_path", "approvals::a_call_that_waits_goes_on_when_it_is_granted"),
    ("approval.wait", "approvals::a_call_that_waits_goes_on_when_it_is_granted"),
    ("approval.expires", "approvals::a_question_that_nobody_answers_expires"),
    ("limits.max_keys", "obligations::keys_over_the_limit_share_counters"),
    ("admin.enabled", "reload::the_pages_of_operators_are_not_for_web_pages"),
    ("admin.address", "reload::the_pages_of_operators_are_not_for_web_pages"),
    ("admin.port", "reload::the_pages_of_operators_are_not_for_web_pages"),
    (
        "policy.evaluation.timeout",
        "fail_closed::a_policy_that_takes_too_long_denies_and_others_go_on",
    ),
    (
        "policy.evaluation.strict_builtin_errors",
        "settings::strict_builtin_errors_turns_a_failing_builtin_into_a_denial",
    ),
    ("audit.enabled", "first_readme::mcp_audit_enabled_replaces_the_file"),
    ("audit.db_path", "first_readme::the_first_aliases_of_the_environment_still_work"),
    (
        "audit.buffer_size",
        "settings::a_log_that_takes_nothing_holds_messages_back_and_then_refuses_them",
    ),
    ("audit.flush_interval", "audit_log::rows_are_written_within_the_flush_interval"),
    (
        "audit.retention_days",
        "audit_log::rows_older_than_the_retention_are_removed_and_others_kept",
    ),
    (
        "audit.max_wait",
        "settings::a_log_that_takes_nothing_holds_messages_back_and_then_refuses_them",
    ),
    (
        "audit.capture.request_arguments",
        "audit_log::arguments_are_absent_unless_configured_and_secrets_are_masked",
    ),
    (
        "audit.capture.response_summary",
        "audit_log::a_summary_of_the_answer_is_kept_only_when_configured",
    ),
    ("audit.capture.max_bytes", "settings::max_bytes_cuts_what_is_captured"),
    ("metrics.enabled", "first_readme::mcp_metrics_and_health_enabled_open_the_printed_paths"),
    ("metrics.address", "settings::metrics_and_probes_listen_where_they_are_told"),
    ("metrics.port", "settings::metrics_and_probes_may_share_a_port"),
    ("metrics.path", "metrics::the_path_of_the_metrics_and_of_the_probes_can_be_set"),
    ("health.enabled", "first_readme::mcp_metrics_and_health_enabled_open_the_printed_paths"),
    ("health.address", "settings::metrics_and_probes_listen_where_they_are_told"),
    ("health.port", "settings::metrics_and_probes_may_share_a_port"),
    ("health.liveness_path", "metrics::the_path_of_the_metrics_and_of_the_probes_can_be_set"),
    ("health.readiness_path", "metrics::the_path_of_the_metrics_and_of_the_probes_can_be_set"),
    ("logging.level", "first_readme::mcp_logging_level_replaces_the_file"),
    ("logging.format", "command_line::the_log_goes_where_it_is_sent"),
    ("logging.output", "command_line::the_log_goes_where_it_is_sent"),
    ("logging.file.path", "command_line::the_log_goes_where_it_is_sent"),
    ("logging.file.max_size", "settings::the_log_file_is_rotated_and_old_ones_are_removed"),
    ("logging.file.max_backups", "settings::the_log_file_is_rotated_and_old_ones_are_removed"),
    ("logging.file.max_age", "settings::the_log_file_is_rotated_and_old_ones_are_removed"),
];

/// The modules that the table names.
const MODULES: &[(&str, &str)] = &[
    ("approvals", include_str!("approvals.rs")),
    ("audit_log", include_str!("audit_log.rs")),
    ("bundles", include_str!("bundles.rs")),
    ("command_line", include_str!("command_line.rs")),
    ("continuity", include_str!("continuity.rs")),
    ("denials", include_str!("denials.rs")),
    ("fail_closed", include_str!("fail_closed.rs")),
    ("first_readme", include_str!("first_readme.rs")),
    ("http_edge", include_str!("http_edge.rs")),
    ("main_job", include_str!("main_job.rs")),
    ("metrics", include_str!("metrics.rs")),
    ("obligations", include_str!("obligations.rs")),
    ("reload", include_str!("reload.rs")),
    ("rule_modes", include_str!("rule_modes.rs")),
    ("sessions", include_str!("sessions.rs")),
    ("settings", include_str!("settings.rs")),
    ("shutdown", include_str!("shutdown.rs")),
    ("stdio_child", include_str!("stdio_child.rs")),
];

/// The dotted paths of all leaves below `node`.
fn leaves(root: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
    let mut node = node;
    while let Some(name) = node["$ref"].as_str().or_else(|| node["allOf"][0]["$ref"].as_str()) {
        node = root.pointer(name.trim_start_matches('#')).unwrap();
    }
    match node["properties"].as_object() {
        Some(members) => {
            for (name, member) in members {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(root, member, &below, found);
            }
        }
        None => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn every_key_has_a_test_that_shows_what_it_does() {
    let output = run(&["config", "schema"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let schema: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut found = BTreeSet::new();
    leaves(&schema, &schema, "", &mut found);
    let shown: BTreeSet<String> = SHOWN.iter().map(|(key, _)| (*key).to_owned()).collect();
    let without: Vec<&String> = found.difference(&shown).collect();
    let gone: Vec<&String> = shown.difference(&found).collect();
    assert!(
        without.is_empty() && gone.is_empty(),
        "keys without a test: {without:?}; tests without a key: {gone:?}"
    );
    for (key, test) in SHOWN {
        let (module, name) = test.split_once("::").unwrap();
        let (_, text) = MODULES
            .iter()
            .find(|(known, _)| *known == module)
            .unwrap_or_else(|| panic!("{key}: no module {module}"));
        let leaf = key.rsplit('.').next().unwrap();
        assert!(
            text.contains(&format!("#[test]\nfn {name}() {{")),
            "{key}: there is no test {test}"
        );
        assert!(
            text.contains(leaf) || text.contains(&leaf.to_uppercase()),
            "{key}: {module} never sets it"
        );
    }
}
