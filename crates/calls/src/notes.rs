//! The text of the column `notes`: the details of the call, then the note, then the transcription.

use callrail::Direction;

use crate::interaction::Outcome;
use crate::snapshot::Facts;

/// Writes the notes of a call. `facts` is `None` when they are sealed.
pub(crate) fn notes(
    (direction, outcome, duration_seconds): (Direction, Outcome, u32),
    facts: Option<&Facts>,
    source: Option<&str>,
    note: Option<&str>,
    transcription: Option<&str>,
) -> String {
    let mut details = vec![
        match direction {
            Direction::Inbound => "Inbound call",
            Direction::Outbound => "Outbound call",
        }
        .to_owned(),
        match outcome {
            Outcome::Completed => "answered",
            Outcome::NoAnswer => "not answered",
            Outcome::Voicemail => "voicemail",
        }
        .to_owned(),
        duration(duration_seconds),
    ];
    details.extend(facts.and_then(|facts| other_party(direction, facts)));
    let mut details = details.join(", ") + ".";
    if let Some(source) = source {
        details = format!("{details} Source: {source}.");
    }
    let note = note.map(|note| format!("Note: {note}"));
    let transcription = transcription.map(transcription_paragraph);
    [Some(details), note, transcription]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// The part of the notes that tells what was said.
pub(crate) fn transcription_paragraph(words: &str) -> String {
    format!("Transcription:\n{words}")
}

/// The person outside, with the carrier's name and place of the line.
fn other_party(direction: Direction, facts: &Facts) -> Option<String> {
    let number = facts.customer.as_ref()?.display();
    let preposition = if direction == Direction::Inbound {
        "from"
    } else {
        "to"
    };
    let line = [facts.customer_name.as_deref(), facts.customer_location.as_deref()];
    let line = line.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(if line.is_empty() {
        format!("{preposition} {number}")
    } else {
        format!("{preposition} {number} ({line})")
    })
}

fn duration(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
