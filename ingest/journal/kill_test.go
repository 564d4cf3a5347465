package journal

func child(role string) {}
