//! The names of the people that an answer speaks of.

use calls::{ContactKind, ContactRef};
use store::Store;

use crate::answer::Refusal;
use crate::shapes::Person;

/// Adds to people the names that the CRM has for them, as far as they are known.
pub(crate) async fn name(store: &Store, people: Vec<&mut Person>) -> Result<(), Refusal> {
    let wanted = people.iter().filter_map(|person| reference(person)).collect();
    let known = store.contacts(wanted).await?;
    for person in people {
        let contact = reference(person).and_then(|reference| known.get(&reference));
        person.name = contact.and_then(|contact| contact.name.clone());
    }
    Ok(())
}

fn reference(person: &Person) -> Option<ContactRef> {
    let kind = ContactKind::from_name(&person.kind)?;
    let id = person.id.clone();
    Some(ContactRef { kind, id })
}
