//! The words that invented people and calls are made of. No text holds digits, so that no receiver takes a
//! part of one for a card or telephone number.

/// An area code with the place that `CallRail` would name for it.
pub(crate) struct Area {
    pub(crate) code: &'static str,
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
}

const fn area(code: &'static str, city: &'static str, state: &'static str) -> Area {
    Area { code, city, state }
}

pub(crate) const AREAS: [Area; 16] = [
    area("404", "Atlanta", "GA"),
    area("470", "Atlanta", "GA"),
    area("678", "Marietta", "GA"),
    area("770", "Roswell", "GA"),
    area("706", "Athens", "GA"),
    area("912", "Savannah", "GA"),
    area("229", "Albany", "GA"),
    area("478", "Macon", "GA"),
    area("312", "Chicago", "IL"),
    area("212", "New York", "NY"),
    area("415", "San Francisco", "CA"),
    area("303", "Denver", "CO"),
    area("512", "Austin", "TX"),
    area("617", "Boston", "MA"),
    area("206", "Seattle", "WA"),
    area("702", "Las Vegas", "NV"),
];

pub(crate) const FIRST_NAMES: [&str; 24] = [
    "Ada", "Alan", "Alicia", "Andre", "Bella", "Carlos", "Chloe", "Darius", "Elena", "Frank", "Grace",
    "Hector", "Imani", "Jorge", "Kayla", "Liam", "Maya", "Noah", "Olivia", "Priya", "Quinn", "Rosa", "Samir",
    "Tessa",
];

pub(crate) const LAST_NAMES: [&str; 24] = [
    "Abbott",
    "Baker",
    "Castillo",
    "Dixon",
    "Ellis",
    "Foster",
    "Garcia",
    "Hughes",
    "Ivanov",
    "Jordan",
    "Khan",
    "Lopez",
    "Mbeki",
    "Nguyen",
    "O'Neil",
    "Patel",
    "Quigley",
    "Rivera",
    "Schmidt",
    "Tanaka",
    "Underwood",
    "Vance",
    "Walker",
    "Young",
];

/// What the carriers' name service says when it knows no name.
pub(crate) const NAMELESS: [&str; 3] = ["WIRELESS CALLER", "UNAVAILABLE", "TOLL FREE"];

/// A talk: who says what, in turn, and `CallRail`'s summary of it.
pub(crate) struct Talk {
    pub(crate) agent: &'static str,
    pub(crate) caller: &'static str,
    pub(crate) end: &'static str,
    pub(crate) summary: &'static str,
}

pub(crate) const TALKS: [Talk; 6] = [
    Talk {
        agent: "Thank you for calling Example Heating & Air.",
        caller: "Hi, my furnace stopped working last night.",
        end: "We can send somebody this afternoon.",
        summary: "Caller reports a broken furnace; a visit was arranged for the afternoon.",
    },
    Talk {
        agent: "Example Heating & Air, how can I help?",
        caller: "I would like a quote for a new heat pump.",
        end: "I will put you through to our estimator.",
        summary: "Caller asks for a quote for a heat pump & was put through to the estimator.",
    },
    Talk {
        agent: "Good morning, Example Heating & Air.",
        caller: "Your invoice says \"filter change\", but nobody changed the filter.",
        end: "I am sorry. We will correct the invoice and come by again.",
        summary: "Caller disputes an invoice; a correction was promised.",
    },
    Talk {
        agent: "Example Heating & Air, this is José.",
        caller: "Can you move my appointment to next week?",
        end: "Tuesday morning is free. See you then.",
        summary: "Caller moves an appointment to Tuesday of next week.",
    },
    Talk {
        agent: "Thank you for calling, how can I help?",
        caller: "The air conditioner drips onto the floor.",
        end: "Please switch it off; a technician is on the way.",
        summary: "Air conditioner leaks; a technician was sent.",
    },
    Talk {
        agent: "Example Heating & Air, good afternoon.",
        caller: "Do you work in my part of town, and what does a check cost?",
        end: "We do, and the first check is free.",
        summary: "New caller asks about the service area <and> prices.",
    },
];

pub(crate) const VOICEMAILS: [&str; 4] = [
    "Hi, my furnace stopped working, please call me back.",
    "This is about the quote you sent. I have a question, thank you.",
    "Hello, could somebody come by today? The heating is off & it is cold.",
    "Sorry I missed your call. You can reach me until the evening.",
];

pub(crate) const NOTES: [&str; 6] = [
    "Booked for Tuesday morning & asked to call ahead.",
    "Sent the quote by e-mail.",
    "Not interested <for now>, try again in spring.",
    "Wants the same technician as last time.",
    "Left a message with the office.",
    "Said \"call my wife\" about the date.",
];

/// Each sorted and without repetition, as a receiver keeps them.
pub(crate) const TAG_SETS: [&[&str]; 6] = [
    &["Booked"],
    &["Booked", "Furnace"],
    &["Quote"],
    &["Heat pump", "Quote"],
    &["Complaint"],
    &["Existing customer", "Rescheduled"],
];
