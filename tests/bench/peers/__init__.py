"""What a user would write instead of Headwater, each in a file of its own and as well as it can be written in a page.

Each reads a JSON job from its first argument, lands events of the topic as Parquet in S3, prints what it consumed and what that
cost, and fails when the files hold another number of rows. They run in an environment of their own, requirements.txt beside this folder.
"""
