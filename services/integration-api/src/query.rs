//! Parameters behind the `?`.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use crate::answer::Refusal;

/// The parameters of a request, as one type; what cannot be read is refused as everything else is.
pub(crate) struct Parameters<T>(T);

impl<T> Deref for Parameters<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Parameters<T> {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let read = Query::<T>::from_query(request.query_string());
        ready(match read {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            // The text of the error can hold what was sent, which the sender knows.
            Err(error) => Err(Refusal::invalid(format!("A parameter cannot be read: {error}"))),
        })
    }
}
