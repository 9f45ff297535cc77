"""Programs of others in the background of this machine: started, found again, ended, their logs kept within bounds."""
