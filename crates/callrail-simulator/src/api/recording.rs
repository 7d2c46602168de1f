//! Recordings: a link by the API, a redirect from there, and the sound itself (docs/callrail.md, "Recording").

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{Parameters, Refusal};
use super::fault::{Fault, cut};

/// Samples a second, of one byte each.
const RATE: u32 = 8_000;

/// Longer recordings are cut, so that nobody waits for a megabyte of humming.
const MAX_SECONDS: u32 = 30;

/// What the API answers: a link that needs no key of the API.
pub(super) fn link(shared: &Shared, call_sid: &str) -> Result<Value, Refusal> {
    let (_, key) = recording(shared, call_sid)?;
    let link = format!(
        "{}/calls/{call_sid}/recording/redirect?access_key={key}",
        shared.origin
    );
    Ok(json!({ "url": link }))
}

/// Where the link leads: to the file.
pub(super) fn redirect(
    shared: &Shared,
    call_sid: &str,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    let key = checked_key(shared, call_sid, parameters)?;
    let file = format!("{}/recordings/{call_sid}.wav?access_key={key}", shared.origin);
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, file))
        .finish())
}

/// The sound, or the part of it that `Range` asks for.
pub(super) fn file(
    shared: &Shared,
    call_sid: &str,
    parameters: &Parameters,
    range: Option<&str>,
    fault: Option<&Fault>,
) -> Result<HttpResponse, Refusal> {
    checked_key(shared, call_sid, parameters)?;
    let (seconds, _) = recording(shared, call_sid)?;
    let sound = wav(seconds.min(MAX_SECONDS));
    let length = sound.len();
    let mut response = HttpResponse::Ok();
    response
        .content_type("audio/wav")
        .insert_header((header::ACCEPT_RANGES, "bytes"));
    if fault == Some(&Fault::CutRecording) {
        let half = Bytes::copy_from_slice(&sound[..length / 2]);
        return Ok(response.body(cut(half, length as u64)));
    }
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok(response.body(sound));
    };
    Ok(match part(range, length) {
        Some((first, last)) => response
            .status(actix_web::http::StatusCode::PARTIAL_CONTENT)
            .insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}")))
            .body(sound[first..=last].to_vec()),
        None => HttpResponse::RangeNotSatisfiable()
            .insert_header((header::CONTENT_RANGE, format!("bytes */{length}")))
            .finish(),
    })
}

/// Seconds and key of the recording of a call that the API shows and that is over.
fn recording(shared: &Shared, call_sid: &str) -> Result<(u32, String), Refusal> {
    let state = shared.state();
    let index = state.find(call_sid).ok_or(Refusal::NOT_FOUND)?;
    let is_over = state
        .changed(index)
        .is_none_or(|changed| changed.state == super::CallState::Ended);
    let recording = shared.account.calls[index].facts.recording.clone();
    recording.filter(|_| is_over).ok_or(Refusal::NOT_FOUND)
}

fn checked_key(shared: &Shared, call_sid: &str, parameters: &Parameters) -> Result<String, Refusal> {
    let (_, key) = recording(shared, call_sid)?;
    if parameters.get("access_key") == Some(&key) {
        Ok(key)
    } else {
        Err(Refusal::FORBIDDEN)
    }
}

/// First and last byte of a range (RFC 9110, section 14.1.2): `a-b`, `a-` or `-n`.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let (first, last) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => (first, last.min(length - 1)),
        (Some(first), None) => (first, length - 1),
        (None, Some(suffix)) => (length.saturating_sub(suffix), length - 1),
        (None, None) => return None,
    };
    (first <= last).then_some((first, last))
}

/// A WAV file with a low hum: 8 bits, one channel.
fn wav(seconds: u32) -> Vec<u8> {
    let samples = seconds * RATE;
    let mut file = Vec::with_capacity(44 + samples as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + samples).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // Uncompressed, one channel.
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    // Samples and bytes a second, bytes and bits a sample.
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&8_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&samples.to_le_bytes());
    // 200 Hz: twenty samples up, twenty down.
    file.extend((0..samples).map(|sample| if sample % 40 < 20 { 120 } else { 136 }));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (range, expected) in [
            ("0-99", Some((0, 99))),
            ("100-", Some((100, 999))),
            ("-10", Some((990, 999))),
            ("0-5000", Some((0, 999))),
            ("1000-", None),
            ("9-5", None),
            ("-", None),
            ("x", None),
        ] {
            assert_eq!(part(range, 1_000), expected, "{range}");
        }
    }

    #[test]
    fn a_wav_file_says_its_length() {
        let file = wav(2);
        assert_eq!(file.len(), 44 + 16_000);
        assert_eq!(file[40..44], 16_000_u32.to_le_bytes());
    }
}
