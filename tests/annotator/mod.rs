//! The web app: what needs real processes, real forms, or both databases.

// Two servers, sixteen people, and the slots of two hundred tasks.
mod races;

// Who may open which page.
mod access;
