"""The store on every machine: one pushes its versions to where rclone keeps them, the others pull them from there."""
