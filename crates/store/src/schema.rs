//! The tables, as the migrations make them. PostgreSQL has them in the schema `trunkline`, and JSON, which is text
//! here, in types of its own: its statements are written out and name both.

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use crate::columns::SqlTime;

    calls (call_sid) {
        call_sid -> Text,
        first_seen_at -> SqlTime,
        reread -> Bool,
        written_notes -> Nullable<Text>,
        written_lead_id -> Nullable<Text>,
        written_customer_id -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    call_events (call_sid, digest) {
        call_sid -> Text,
        digest -> Text,
        kind -> Text,
        origin -> Text,
        company_id -> Nullable<Text>,
        first_observed_at -> SqlTime,
        last_observed_at -> SqlTime,
        event_id -> SqlId,
        changes -> Text,
        snapshot -> Text,
        raw -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use crate::columns::SqlTime;

    seals (call_sid, sealed_group) {
        call_sid -> Text,
        sealed_group -> Text,
        reason -> Text,
        sealed_at -> SqlTime,
        sealed_by -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    interactions (id) {
        id -> SqlId,
        direction -> Text,
        lead_id -> Nullable<Text>,
        customer_id -> Nullable<Text>,
        notes -> Text,
        outcome -> Text,
        call_duration_seconds -> BigInt,
        call_recording_url -> Nullable<Text>,
        call_from_number -> Nullable<Text>,
        call_sid -> Text,
        scheduled_at -> SqlTime,
        completed_at -> SqlTime,
        created_at -> SqlTime,
        updated_at -> SqlTime,
        call_to_number -> Nullable<Text>,
        tracking_number -> Nullable<Text>,
        source -> Nullable<Text>,
        medium -> Nullable<Text>,
        campaign -> Nullable<Text>,
        keywords -> Nullable<Text>,
        landing_page_url -> Nullable<Text>,
        gclid -> Nullable<Text>,
        utm_source -> Nullable<Text>,
        utm_medium -> Nullable<Text>,
        utm_campaign -> Nullable<Text>,
        utm_term -> Nullable<Text>,
        utm_content -> Nullable<Text>,
        transcription -> Nullable<Text>,
        call_summary -> Nullable<Text>,
        tags -> Text,
        lead_status -> Nullable<Text>,
        value -> Nullable<Text>,
        first_call -> Nullable<Bool>,
        agent_email -> Nullable<Text>,
        company_id -> Nullable<Text>,
        customer_name -> Nullable<Text>,
        match_method -> Text,
        match_candidates -> Text,
        spam -> Bool,
        vanished -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use crate::columns::SqlTime;

    contacts (kind, id) {
        kind -> Text,
        id -> Text,
        name -> Nullable<Text>,
        owner_id -> Nullable<Text>,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    contact_phones (e164, kind, id) {
        e164 -> Text,
        kind -> Text,
        id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    alerts (id) {
        id -> SqlId,
        call_sid -> Text,
        interaction_id -> SqlId,
        kind -> Text,
        at -> SqlTime,
        payload -> Text,
        owner_id -> Nullable<Text>,
        push -> Bool,
        created_at -> SqlTime,
        published_at -> Nullable<SqlTime>,
        trace -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    dead_letters (id) {
        id -> SqlId,
        queue -> Text,
        reason -> Text,
        event_id -> Nullable<SqlId>,
        call_sid -> Nullable<Text>,
        import_id -> Nullable<SqlId>,
        attempts -> BigInt,
        first_failed_at -> SqlTime,
        last_failed_at -> SqlTime,
        body -> Binary,
        state -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use crate::columns::{SqlId, SqlTime};

    api_requests (id) {
        id -> SqlId,
        class -> Text,
        requested_at -> SqlTime,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable};
    use crate::columns::SqlTime;

    api_usage (id) {
        id -> BigInt,
        reported_at -> Nullable<SqlTime>,
        hour_by_others -> Nullable<BigInt>,
        hour_allowed -> Nullable<BigInt>,
        day_by_others -> Nullable<BigInt>,
        day_allowed -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    imports (id) {
        id -> SqlId,
        source -> Text,
        range_start -> SqlTime,
        range_end -> SqlTime,
        company_id -> Nullable<Text>,
        state -> Text,
        created_at -> SqlTime,
        started_at -> Nullable<SqlTime>,
        finished_at -> Nullable<SqlTime>,
        error -> Nullable<Text>,
        lease_holder -> Nullable<SqlId>,
        lease_until -> Nullable<SqlTime>,
        window_start -> Nullable<SqlTime>,
        next_page -> Nullable<Text>,
        pages -> BigInt,
        requests -> BigInt,
        retrying -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use crate::columns::SqlId;

    import_calls (import_id, call_sid) {
        import_id -> SqlId,
        call_sid -> Text,
        state -> Text,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::columns::{SqlId, SqlTime};

    recordings (call_sid) {
        call_sid -> Text,
        state -> Text,
        call_began_at -> SqlTime,
        due_at -> SqlTime,
        holder -> Nullable<SqlId>,
        attempts -> BigInt,
        missing_since -> Nullable<SqlTime>,
        reason -> Nullable<Text>,
        object_key -> Nullable<Text>,
        content_type -> Nullable<Text>,
        length_bytes -> Nullable<BigInt>,
        sha256 -> Nullable<Text>,
        stored_at -> Nullable<SqlTime>,
    }
}

diesel::table! {
    account_numbers (e164) {
        e164 -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::columns::SqlTime;

    webhook_health (id) {
        id -> BigInt,
        counted_at -> Nullable<SqlTime>,
        gap -> Nullable<BigInt>,
        silent_since -> Nullable<SqlTime>,
        checked_at -> Nullable<SqlTime>,
        integration_state -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use crate::columns::SqlTime;

    erased_numbers (number_hash) {
        number_hash -> Text,
        erased_at -> SqlTime,
    }
}

diesel::table! {
    erasure_key (id) {
        id -> BigInt,
        key -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(contacts, contact_phones);
diesel::allow_tables_to_appear_in_same_query!(imports, import_calls);
diesel::allow_tables_to_appear_in_same_query!(interactions, contacts);
diesel::allow_tables_to_appear_in_same_query!(recordings, seals);
