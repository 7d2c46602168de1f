//! What stands in the path of a request.

use std::fmt::Display;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::answer::Refusal;

/// The one variable part of a path. What cannot be read names nothing that there is.
pub(crate) struct Segment<T>(T);

impl<T> Deref for Segment<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> FromRequest for Segment<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let text = request.match_info().iter().next().map_or("", |(_, text)| text);
        ready(match text.parse() {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(Refusal::not_found(&format!(
                "The id in the address is none: {error}"
            ))),
        })
    }
}
