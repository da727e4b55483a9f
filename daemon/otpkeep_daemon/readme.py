"""The text that a person finds who opens the folder."""

FOLDER_README = """\
This folder is the encrypted backup of somebody's authenticator accounts, kept by otpkeep.

Please leave these files as they are: do not rename, edit or delete them. Each was written once and holds a
part of the history; none can be read without the owner's passphrase or recovery code.

To get the accounts back on a new computer:

    1. Install otpkeep (its project page says how).
    2. Let this folder sync fully.
    3. Run:                          otpkeep recover PATH-OF-THIS-FOLDER
       and type the passphrase, or add --code-file FILE to use the recovery code.

The format is documented in protocol/SPEC.md of the project.
"""
