//! What the reconciler compares with.

use calls::{CallId, Digest, Group, SealReason};
use diesel::prelude::*;

use super::{call_id, json};
use crate::{KnownCall, StoreError};

/// What is known of one call.
#[derive(QueryableByName)]
pub(crate) struct KnownRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    call_sid: String,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    reread: bool,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    has_row: bool,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    vanished: bool,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    last_seen: Option<String>,
    /// JSON: pairs of group and reason.
    #[diesel(sql_type = diesel::sql_types::Text)]
    sealed: String,
}

impl KnownRow {
    pub(crate) fn into_known(self) -> Result<(CallId, KnownCall), StoreError> {
        let known = KnownCall {
            last_seen: self.last_seen.map(Digest::from_stored),
            has_row: self.has_row,
            vanished: self.vanished,
            reread: self.reread,
            seals: json::<Vec<(Group, SealReason)>>(&self.sealed, "seals")?
                .into_iter()
                .collect(),
        };
        Ok((call_id(&self.call_sid)?, known))
    }
}
