home-title = Projects
home-empty = You are in no project yet. A manager adds people to a project; ask yours.
tasks-waiting =
    { $n ->
        [0] Nothing waits for you
        [one] { $n } task waits for you
       *[other] { $n } tasks wait for you
    }
tasks-done = { $n } done
demonstrate-waiting = Write answers ({ $n })
compare-waiting = Compare answers ({ $n })

project-new = New project
project-create = Create the project
project-name = Name
project-name-missing = Give the project a name
project-name-taken = There is already a project of that name
project-guidelines = Guidelines
project-guidelines-hint = What makes an answer good here. Shown beside every task; Markdown.
project-no-guidelines = There are none yet.
project-for-you = For you
project-n-prompts = prompts
project-n-demonstrations = written answers
project-n-comparisons = comparisons made
project-n-open-comparisons = pairs waiting
project-n-runs = runs
project-add-prompts = Add prompts
project-add-people = Add people
project-change = Change the guidelines and settings
project-overlap = People per comparison
project-overlap-hint = How many people judge each new pair of answers.
project-changed-meanwhile = Not saved: somebody changed these settings after you had opened this page
project-stored = What is stored now
project-stored-lead = This is stored now; the form below holds what you typed. Saving the form replaces what is stored.
project-keep-stored = Keep what is stored

people-title = People
people-empty = Nobody has a role here yet. Administrators can do everything in every project.
people-add = Add a person
people-name = Name
people-name-hint = Only for somebody who has no account yet.
people-name-missing = Nobody has this login yet: give the name that others will see
people-login-hint = The login they have, or a new one.
people-login-wrong = A login has letters, digits and . - _ @ + only
people-login-taken = There is already an account with this login
people-login-just-taken = Somebody made an account with this login a moment ago. Send the form again to give it these roles.
people-roles = Roles
people-login-erased = Who had this account is erased for the law, and it cannot be used again. Type another login to add the person anew
people-role-missing = Choose at least one role
people-remove = Remove
people-role-not-yours = The role of an engineer is given by an engineer of the project or an administrator
people-remove-not-yours = This person is an engineer here: another engineer or an administrator removes them.
link-invitation = { $name } ({ $login }) has an account. With this link they choose their password:
link-reset = { $name } ({ $login }) is signed out everywhere, and the old password is worth nothing. With this link they choose a new one:
link-copy = Copy the link
link-copied = Copied
link-help = Pass it on yourself: Attune sends no e-mail. The link works once, until { $until } UTC, and is shown only now. If it gets lost, an administrator makes a new one.
welcome-title = Choose a new password
welcome-invited = Welcome, { $name }
welcome-login = You sign in as { $login }. Choose the password for it.
welcome-accept = Set the password and sign in
welcome-over-title = This link does not work any more
welcome-over-signed-in = It was used already, or its time is over. You are signed in as { $name }: if that is you, there is nothing more to do.
welcome-go-on = Go on
welcome-over = It was used, its time is over, or a newer one was made. Ask whoever sent it, or an administrator, for a new link. If you have set your password already, sign in with it.
admin-people-title = All people
admin-people-hint = Every account of this installation. Roles are given in each project.
admin-people-state = State
admin-people-disabled = locked
admin-people-erased = erased
admin-people-reset = New password link
admin-people-disable = Lock
admin-people-enable = Unlock

settings-title = Settings
settings-signed-in-as = You are signed in as { $login }.
settings-language = Language
settings-password = Password
settings-current = Current password
settings-current-wrong = This is not your current password
settings-new = New password
settings-new-hint = At least { $n } characters; a few words are easy to remember.
settings-new-short = The new password needs at least { $n } characters
settings-again = New password again
settings-again-differs = The two new passwords differ
settings-change-password = Change the password
