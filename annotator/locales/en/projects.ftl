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
people-role-missing = Choose at least one role
people-remove = Remove
people-created = Account { $login } has this one-time password. It is shown only now: pass it on.
admin-people-title = All people
admin-people-hint = Every account of this installation. Roles are given in each project.
admin-people-state = State
admin-people-disabled = locked
admin-people-reset = New one-time password
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
