//! The tables, as `migrations/sqlite` makes them.

diesel::table! {
    calls (call_sid) {
        call_sid -> Text,
        first_seen_at -> Text,
        reread -> Bool,
        written_notes -> Nullable<Text>,
        written_lead_id -> Nullable<Text>,
        written_customer_id -> Nullable<Text>,
    }
}

diesel::table! {
    call_events (call_sid, digest) {
        call_sid -> Text,
        digest -> Text,
        kind -> Text,
        origin -> Text,
        company_id -> Nullable<Text>,
        first_observed_at -> Text,
        last_observed_at -> Text,
        event_id -> Text,
        changes -> Text,
        snapshot -> Text,
        raw -> Text,
    }
}

diesel::table! {
    seals (call_sid, sealed_group) {
        call_sid -> Text,
        sealed_group -> Text,
        reason -> Text,
        sealed_at -> Text,
        sealed_by -> Text,
    }
}

diesel::table! {
    interactions (id) {
        id -> Text,
        direction -> Text,
        lead_id -> Nullable<Text>,
        customer_id -> Nullable<Text>,
        notes -> Text,
        outcome -> Text,
        call_duration_seconds -> BigInt,
        call_recording_url -> Nullable<Text>,
        call_from_number -> Nullable<Text>,
        call_sid -> Text,
        scheduled_at -> Text,
        completed_at -> Text,
        created_at -> Text,
        updated_at -> Text,
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
    }
}

diesel::table! {
    contacts (kind, id) {
        kind -> Text,
        id -> Text,
        name -> Nullable<Text>,
        owner_id -> Nullable<Text>,
        updated_at -> Text,
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
    alerts (id) {
        id -> Text,
        call_sid -> Text,
        interaction_id -> Text,
        kind -> Text,
        at -> Text,
        payload -> Text,
        owner_id -> Nullable<Text>,
        push -> Bool,
        created_at -> Text,
        published_at -> Nullable<Text>,
    }
}

diesel::table! {
    dead_letters (id) {
        id -> Text,
        queue -> Text,
        reason -> Text,
        event_id -> Nullable<Text>,
        call_sid -> Nullable<Text>,
        import_id -> Nullable<Text>,
        attempts -> BigInt,
        first_failed_at -> Text,
        last_failed_at -> Text,
        body -> Binary,
        state -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(contacts, contact_phones);
