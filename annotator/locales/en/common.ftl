app-name = Attune
skip-to-content = Skip to content
save = Save
login = Login
password = Password
sign-in = Sign in
sign-out = Sign out
sign-in-title = Sign in
sign-in-refused = This login and password do not match. Check both and try again.
sign-in-lapsed = The time of this one-time password is over. Ask an administrator for a link to choose a new one.
one-time-password-note = You signed in with a one-time password.
one-time-password-change = Choose your own

nav-account = Account
nav-project = Project
nav-notices = Notices
nav-people = All people
nav-demonstrate = Write
nav-compare = Compare
nav-prompts = Prompts
nav-project-people = People
nav-runs = Runs
nav-models = Models

role-annotator = AI trainer
role-reviewer = Reviewer
role-manager = Manager
role-engineer = Engineer
role-admin = Administrator

form-errors-title = Something needs another look
form-too-long = Too long: { $n ->
    [one] { $n } character
   *[other] { $n } characters
  }, and at most { $most } fit here. Shorten it.
form-invisible = This holds a character that nobody can see. Type it by hand instead of pasting it.
notice-saved = Saved.
notice-password-changed = Your password is changed. You are signed out everywhere else.
notice-person-added = { $value } is in.
notice-account-disabled = { $value } is locked and signed out everywhere. What they wrote stays.
notice-account-enabled = { $value } can sign in again.
notice-welcome = Welcome, { $value }. Your password is set.
notice-person-removed = Removed. What they wrote stays.

copy = Copy
kept-title = This text is only in this browser
kept-lead = The server does not have it. Copy it, or open its page and send it from there.
kept-discard = Discard
kept-leave = Sign out and delete it
kept-stay = Stay signed in
error-number = If you ask somebody about this, tell them this number:
error-go-home = To the start page
error-stale-title = This page is out of date
error-stale-advice = Your session ended or you signed in anew since this page was opened. Go back, reload the page and send it again; what you typed is kept in this browser, a chosen file has to be chosen again.
error-conflict-title = This changed meanwhile
error-conflict-advice = Go back, reload the page and try again.
error-forbidden-title = Not for your role
error-forbidden-advice = This page needs a role that you do not have here. Ask a manager of the project or an administrator.
error-not-found-title = There is no such page
error-not-found-advice = It may have been removed, or it belongs to a project you are not in. Check the address.
error-too-large-title = Too much at once
error-too-large-advice = Send a smaller file or a shorter text (letters other than Latin take more room). A file can also be imported on the command line: annotator import.
error-too-many-title = Too many attempts
error-too-many-advice = Wait a minute, then sign in again.
error-streams-title = Too many open windows
error-streams-advice = Close some of the pages that follow a run or wait for a model's answer, then load this one again.
error-no-cookie-title = Your browser sent no cookie back
error-no-cookie-advice = Attune keeps in a cookie who is signed in. Allow cookies for this address, load the page again and send it once more.
error-no-cookie-secure = This service is set up for HTTPS (--secure-cookies), and this page came over plain HTTP, where browsers do not keep its cookies. Open the address that begins with https://, or ask whoever looks after the service to start it without --secure-cookies.
error-slow-title = This took too long to arrive
error-slow-advice = The connection is very slow or broke off. Go back and send it again; what you typed is kept in this browser, a chosen file has to be chosen again.
error-body-kind-title = This did not come as a form
error-body-kind-advice = Go back, reload the page and send it again from there. Files are sent as multipart/form-data, and nothing is sent compressed.
error-busy-title = Too much at once
error-busy-advice = The service has its hands full. Try again in a few seconds; what you typed is kept in this browser, a chosen file has to be chosen again.
error-full-title = The disk of this service is full
error-full-advice = Nothing more can be stored until whoever looks after the service makes room; tell them. What you typed is kept in this browser, a chosen file has to be chosen again.
error-request-title = This could not be understood
error-request-advice = Go back, reload the page and try again.
error-internal-title = Something failed here
error-internal-advice = It is our fault, and it is in the log. Try again in a moment; what you typed is kept in this browser, a chosen file has to be chosen again.
error-unavailable-title = The database does not answer
error-unavailable-advice = Try again in a minute: load this page once more. What you typed is kept in this browser (a chosen file has to be chosen again), and runs go on. If it stays like this, tell whoever looks after the service; its log says why.

# Below what went wrong here: the form that was sent, filled in.
sent-again-title = What you sent
sent-again-lead = We cannot say whether it was stored. It is all here: send it again in a moment, and leave this page open until that works.
sent-again-text = A text that you sent
sent-again = Send again
